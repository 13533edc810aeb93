import { existsSync } from "node:fs"
import { readdir } from "node:fs/promises"
import path from "node:path"
import { beforeAll, describe, expect, it } from "vitest"
import { readWorkflow } from "../../lib/github/workflow-file.ts"
import { findJob, jobNames } from "../../lib/job/find.ts"
import type { Job } from "../../lib/job/job.ts"
import { sourceFiles } from "./source-files.ts"

const root = process.cwd()

describe("every job", () => {
  const jobs: Job[] = []
  beforeAll(async () => {
    for (const name of await jobNames(root)) jobs.push(await findJob(root, name))
  })

  it("has a workflow that runs it, or is run by hand", async () => {
    const folder = path.join(root, ".github/workflows")
    const workflows = await Promise.all((await readdir(folder)).map((file) => readWorkflow(path.join(folder, file))))
    const commands = workflows.flatMap((workflow) => workflow.jobs.flatMap((job) => job.steps.map((step) => step.run)))
    const runs = (job: Job) =>
      commands.some((run) => run?.startsWith("exec node ") && run.endsWith(` --import tsx lib/job/main.ts ${job.name}`))
    expect(jobs.filter((job) => runs(job) === (job.byHand === true)).map((job) => job.name)).toEqual([])
  })

  it("has a runbook and a test of its name", () => {
    const wanted = jobs.flatMap(({ name }) => [`docs/runbooks/${name}.md`, `test/jobs/${name}.test.ts`])
    expect(wanted.filter((file) => !existsSync(file))).toEqual([])
  })
})

it("every runbook that is named exists", () => {
  const named = sourceFiles(["lib", "jobs"]).flatMap(({ file, text }) =>
    Array.from(text.matchAll(/\brunbook:\s*["'`]([^"'`]+)["'`]/g), (match) => ({ file, runbook: match[1] })),
  )
  expect(named.filter(({ runbook }) => !existsSync(`docs/runbooks/${runbook}.md`))).toEqual([])
})
