import { describe, expect, it } from "vitest"
import { parseWorkflow, readWorkflow } from "../../../lib/github/workflow-file.ts"

describe("a workflow file", () => {
  it("that is missing, broken or something else is refused by name", async () => {
    await expect(readWorkflow("no/such.yml")).rejects.toThrow("no/such.yml")
    expect(() => parseWorkflow("on: [push", "ci.yml")).toThrow("ci.yml is no YAML: ")
    expect(() => parseWorkflow("on: push\njobs: 3", "ci.yml")).toThrow("ci.yml is no workflow: jobs: ")
    expect(() => parseWorkflow("", "ci.yml")).toThrow("ci.yml is no workflow: the file: ")
  })

  it("tells when it runs, what it takes and what its steps do", () => {
    const workflow = parseWorkflow(
      `name: backup
run-name: backup of \${{ inputs.slot }}
on:
  schedule: [{ cron: "17 3 * * *" }, { cron: "17 15 * * 0" }]
  workflow_dispatch:
    inputs:
      dry-run: { type: boolean, default: false }
      reason: { required: true, description: why }
permissions: { contents: read }
jobs:
  one:
    if: true
    timeout-minutes: 30
    runs-on: ubuntu-24.04
    steps:
      - uses: ./setup
        with: { major: 17 }
      - { run: ls, env: { A: 1, B: true, C: } }
  two: { needs: one }
  three: { needs: [one, two] }
`,
      "backup.yml",
    )
    expect(workflow).toMatchObject({
      name: "backup",
      runName: `backup of \${{ inputs.slot }}`,
      crons: ["17 3 * * *", "17 15 * * 0"],
      inputs: {
        "dry-run": { type: "boolean", required: false, default: false },
        reason: { type: "string", required: true, description: "why" },
      },
      permissions: { contents: "read" },
    })
    expect(workflow.jobs.map(({ id, needs }) => ({ id, needs }))).toEqual([
      { id: "one", needs: [] },
      { id: "two", needs: ["one"] },
      { id: "three", needs: ["one", "two"] },
    ])
    expect(workflow.jobs[0]).toMatchObject({ if: "true", timeoutMinutes: 30 })
    expect(workflow.jobs[0]?.steps).toEqual([
      { uses: "./setup", env: {}, with: { major: "17" } },
      { run: "ls", env: { A: "1", B: "true", C: "" }, with: {} },
    ])
  })

  it.each([{ on: "on: push" }, { on: "on: [push, pull_request]" }, { on: "on: { push: { branches: [main] } }" }])(
    "with `$on` has neither crons nor inputs",
    ({ on }) => {
      const workflow = parseWorkflow(`${on}\njobs: {}`, "ci.yml")
      expect(workflow.crons).toEqual([])
      expect(workflow.inputs).toBeUndefined()
    },
  )

  it("with `on: workflow_dispatch` can be started without inputs", () => {
    expect(parseWorkflow("on: workflow_dispatch\njobs: {}", "x.yml").inputs).toEqual({})
  })
})
