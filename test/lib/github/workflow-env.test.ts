import { describe, expect, it } from "vitest"
import { markedJobs, type StepVariable, writeMarkedBlocks } from "../../../lib/github/workflow-env.ts"

const workflow = (...blocks: string[]) => `name: backup
jobs:
  backup:
    steps:
      - run: exec node
        env:
          OPS_SLOT: \${{ inputs.slot }}
${blocks.join("\n  between: {}\n")}
  after: {}
`

const marked = (job: string, ...lines: string[]) =>
  [`# nightshift:env ${job}`, ...lines, "# nightshift:env end"].map((line) => `          ${line}`).join("\n")

const needs = new Map<string, StepVariable[]>([
  [
    "backup",
    [
      { env: "AWS_ACCESS_KEY_ID", kind: "secret", name: "STORE_WRITE_KEY_ID" },
      { env: "BACKUP_STORE", kind: "variable", name: "BACKUP_STORE" },
    ],
  ],
  ["restore-test", [{ env: "BACKUP_IDENTITY", kind: "secret", name: "BACKUP_IDENTITY" }]],
])

const backup = marked(
  "backup",
  `AWS_ACCESS_KEY_ID: \${{ secrets.STORE_WRITE_KEY_ID }}`,
  `BACKUP_STORE: \${{ vars.BACKUP_STORE }}`,
)

describe("marked blocks", () => {
  it("without their other end are an error", () => {
    const cut = workflow(marked("backup")).replace("# nightshift:env end", "")
    expect(() => markedJobs(cut)).toThrow('1 lines have "# nightshift:env" and 0 blocks are whole')
  })

  it("are filled with what their job needs, and nothing else is touched", () => {
    const before = workflow(marked("backup", "OLD: 1", "# old: 2"), marked("restore-test"))
    expect(markedJobs(before)).toEqual(["backup", "restore-test"])
    const restoreTest = marked("restore-test", `BACKUP_IDENTITY: \${{ secrets.BACKUP_IDENTITY }}`)
    expect(writeMarkedBlocks(before, needs)).toBe(workflow(backup, restoreTest))
  })

  it("stay as they are when they are written again", () => {
    expect(writeMarkedBlocks(workflow(backup), needs)).toBe(workflow(backup))
  })
})
