import { readdirSync, readFileSync } from "node:fs"
import path from "node:path"
import { describe, expect, it } from "vitest"
import { parse } from "yaml"
import { loadConfigOrDefaults } from "../../lib/config/commented-defaults.ts"
import { readWorkflow, type WorkflowFile, type WorkflowStep } from "../../lib/github/workflow-file.ts"
import { stepNeeds } from "../../lib/job/alerts.ts"
import { findJob } from "../../lib/job/find.ts"
import { jobOptions } from "../../lib/job/job-options.ts"
import { planWorkflows } from "../../lib/job/workflows.ts"
import { parseActionFile, parseWorkflowFile } from "../support/workflow/parse.ts"

const root = process.cwd()
const folder = ".github/workflows"
const files = readdirSync(folder).map((file) => path.join(folder, file))
const actions = readdirSync(".github/actions").map((action) => `.github/actions/${action}/action.yml`)
/** Jobs of many small answers have room for young objects; those of long streams do better without. */
const youngMegabytes = (job: string) => (["health", "keep-warm"].includes(job) ? 16 : 1)
const commandOf = (job: string) =>
  `exec node --max-semi-space-size=${youngMegabytes(job)} --initial-old-space-size=64 --import tsx lib/job/main.ts ${job}`

/** Jobs that delete or change what people made. They want a reason, kept in the run line. */
const destructive = ["decay", "cleanup", "maintenance", "prune", "restore"]

/** What runs jobs writes the ledger's branch and the issues of incidents. What else each file may do. */
const jobRights = { contents: "write", issues: "write" }
const moreRights: Record<string, Record<string, string>> = {
  ".github/workflows/alert.yml": { actions: "read", checks: "read" },
  ".github/workflows/pulse.yml": { actions: "read", checks: "read" },
}

type Described = { file: string; workflow: WorkflowFile }
const workflows: Described[] = await Promise.all(
  files.map(async (file) => ({ file, workflow: await readWorkflow(file) })),
)
const operational = workflows.filter(({ workflow }) => jobSteps(workflow).length > 0)

describe("every workflow", () => {
  it.each(files)("%s is valid by GitHub's own schema", async (file) => {
    expect((await parseWorkflowFile(file)).jobs.length).toBeGreaterThan(0)
  })

  it.each(actions)("%s is valid by GitHub's own schema", async (file) => {
    expect((await parseActionFile(file)).steps.length).toBeGreaterThan(0)
  })

  it.each(workflows)("$file has the name of its file, limits and the least rights", ({ file, workflow }) => {
    expect(workflow.name).toBe(path.basename(file, ".yml"))
    const usual = jobSteps(workflow).length > 0 ? jobRights : { contents: "read" }
    expect(workflow.permissions).toEqual({ ...usual, ...moreRights[file] })
    for (const job of workflow.jobs) {
      expect(job.permissions, job.id).toBeUndefined()
      expect(job.timeoutMinutes, job.id).toBeGreaterThan(0)
    }
    for (const line of readFileSync(file, "utf8").matchAll(/runs-on: (.*)/g)) expect(line[1]).toBe("ubuntu-24.04")
  })

  it.each(workflows)("$file runs off the quarter hours", ({ workflow }) => {
    const minutes = workflow.crons.flatMap((cron) => cron.split(" ")[0]?.split(",") ?? [])
    expect(minutes.filter((minute) => !/^\d+$/.test(minute) || Number(minute) % 15 === 0)).toEqual([])
  })

  it.each([...files, ...actions])("%s pins every action by its full SHA, with the version as a comment", (file) => {
    const uses = Array.from(readFileSync(file, "utf8").matchAll(/\buses: (.*)$/gm), (match) => match[1] ?? "")
    const pinned = /^(\.\/\S+|[\w-]+\/[\w/-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+)$/
    expect(uses.filter((one) => !pinned.test(one))).toEqual([])
  })

  it.each([...files, ...actions])("%s leaves no credentials behind and puts no expression into a script", (file) => {
    const steps = stepsIn(parse(readFileSync(file, "utf8")))
    expect(steps.filter((step) => step.run?.includes("${{"))).toEqual([])
    const checkouts = steps.filter((step) => step.uses?.startsWith("actions/checkout@"))
    expect(checkouts.filter((step) => step.with?.["persist-credentials"] !== false)).toEqual([])
  })
})

describe("every workflow that runs jobs", () => {
  it.each(operational)("$file can be started by hand for a slot, dry or real", ({ workflow }) => {
    expect(workflow.inputs).toMatchObject({
      "dry-run": { type: "boolean", required: false, default: false },
      slot: { type: "string", required: false },
    })
    const wantsReason = jobSteps(workflow).some(({ job }) => destructive.includes(job))
    expect(workflow.inputs?.reason?.required ?? false).toBe(wantsReason)
  })

  it.each(operational)(
    "$file says in its run-name what it does, when for, dry or real, and for whom",
    ({ workflow }) => {
      const parts = [workflow.name, "inputs.slot", "inputs.dry-run && 'dry' || 'real'", "github.actor"]
      for (const part of parts) expect(workflow.runName).toContain(part)
    },
  )

  it.each(operational)("$file is quiet until OPS_ENABLED is set", ({ workflow }) => {
    for (const job of workflow.jobs)
      expect(job.if).toMatch(/^\$\{\{ (!cancelled\(\) && )?vars\.OPS_ENABLED == 'true'( && \([^|]*\|\|[^|]*\))? \}\}$/)
  })

  it.each(operational)("$file gives each job exactly what it needs (else: npm run workflows)", async ({ workflow }) => {
    const ops = await loadConfigOrDefaults(path.join(root, "ops.config.ts"))
    for (const { job, step } of jobSteps(workflow)) {
      const found = await findJob(root, job)
      const needs = stepNeeds(found, ops)
      const own = needs.map(({ env, kind, name }) => [
        env,
        expression(`${kind === "secret" ? "secrets" : "vars"}.${name}`),
      ])
      const takesReason = destructive.includes(job) || workflow.inputs?.reason !== undefined
      const reason = takesReason ? { OPS_REASON: expression("inputs.reason") } : {}
      const common = { OPS_SLOT: expression("inputs.slot"), OPS_DRY_RUN: expression("inputs.dry-run"), ...reason }
      const ofOptions = jobOptions(found.options).map(({ flag }) => `OPS_${flag.toUpperCase().replaceAll("-", "_")}`)
      const env = Object.entries(step.env).filter(([name]) => !ofOptions.includes(name))
      const wanted = { ...common, ...Object.fromEntries(own) }
      expect(Object.fromEntries(env), `${job}: run "npm run workflows"`).toEqual(wanted)
    }
  })

  it.each(operational)("$file gives secrets to no other step", ({ workflow }) => {
    const others = workflow.jobs.flatMap(({ steps }) => steps.filter((step) => !step.run?.includes("lib/job/main.ts")))
    const shared = [workflow.env, ...workflow.jobs.map(({ env }) => env)]
    expect(JSON.stringify([others, shared])).not.toContain("secrets.")
  })

  it("is watched by alert.yml, which speaks for runs that could not", () => {
    const watches = workflows.find(({ workflow }) => workflow.name === "alert")?.workflow.watches
    const others = operational.map(({ workflow }) => workflow.name).filter((name) => name !== "alert")
    expect(watches?.toSorted()).toEqual(others.toSorted())
    expect(others.length).toBeGreaterThan(2)
  })

  it("has marked blocks that are current (else: npm run workflows)", async () => {
    for (const { file, text, wanted } of await planWorkflows(root))
      expect(text, `${file}: run "npm run workflows"`).toBe(wanted)
  })
})

function jobSteps(workflow: WorkflowFile): { job: string; step: WorkflowStep }[] {
  const steps = workflow.jobs.flatMap((job) => job.steps)
  return steps.flatMap((step) => {
    if (!step.run?.includes("lib/job/main.ts")) return []
    const job = step.run.trim().split(" ").at(-1) ?? ""
    if (step.run !== commandOf(job)) throw new Error(`${workflow.name}: "${step.run}" must be: ${commandOf(job)}`)
    return [{ job, step }]
  })
}

type RawStep = { run?: string; uses?: string; with?: Record<string, unknown> }

/** Steps of the jobs of a workflow, or of a composite action. */
function stepsIn(content: { jobs?: Record<string, { steps: RawStep[] }>; runs?: { steps: RawStep[] } }): RawStep[] {
  return [...Object.values(content.jobs ?? {}), ...(content.runs ? [content.runs] : [])].flatMap(({ steps }) => steps)
}

function expression(inside: string): string {
  return `\${{ ${inside} }}`
}
