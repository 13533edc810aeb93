import { execFileSync } from "node:child_process"
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import path from "node:path"
import { afterAll, beforeAll, describe, expect, it } from "vitest"
import { type JobRun, runWorkflow, type WorkflowOptions } from "../support/workflow-runner.ts"

let root: string
beforeAll(() => {
  root = mkdtempSync(path.join(tmpdir(), "repository-"))
  execFileSync("git", ["init", "--quiet", root])
  writeFileSync(path.join(root, "README.md"), "hello\n")
  mkdirSync(path.join(root, "greet"))
  writeFileSync(path.join(root, "greet/action.yml"), greet)
})
afterAll(() => rmSync(root, { recursive: true, force: true }))

const greet = `
name: Greet
description: Says hello
inputs:
  who: { description: whom, default: "\${{ github.actor }}" }
runs:
  using: composite
  steps:
    - shell: bash
      env: { WHO: "\${{ inputs.who }}" }
      run: |
        echo "hello $WHO"
        echo "GREETED=$WHO" >> "$GITHUB_ENV"
    - if: inputs.who == 'nobody'
      shell: bash
      run: exit 3
`

describe.concurrent("what is refused", () => {
  it("a file that GitHub's schema refuses", async () => {
    await expect(runJobs("jobs: { one: { runs-on: x, steps: [{ rum: ls }] } }")).rejects.toThrow(/not valid: .*rum/)
  })

  it("an expression that asks for what is not there", async () => {
    await expect(runJobs(oneJob(`- run: echo \${{ secret.KEY }}`))).rejects.toThrow(/not valid: .*secret/)
  })

  it("an action or a key that it does not know", async () => {
    await expect(runJobs(oneJob("- uses: some/action@v1"))).rejects.toThrow("some/action@v1 is not known")
    await expect(runJobs(oneJob("- { run: ls, continue-on-error: true }"))).rejects.toThrow("continue-on-error")
  })

  it("an event that the workflow does not listen to, and inputs that it does not have", async () => {
    await expect(runJobs(oneJob("- run: ls"), { event: "push" })).rejects.toThrow("does not run on push")
    await expect(runJobs(oneJob("- run: ls"), { inputs: { color: "red" } })).rejects.toThrow("no input color")
  })
})

describe.concurrent("the environment of a step", () => {
  it("is what the workflow gives it and a bare runner's, in a clean clone", async () => {
    const { jobs } = await runJobs(
      `env: { LEVEL: workflow, TOP: "\${{ vars.TOP }}" }
jobs:
  one:
    runs-on: x
    env: { LEVEL: job, FROM_JOB: "\${{ vars.TOP }}!" }
    steps:
      - uses: actions/checkout@v7
      - run: env; cat README.md; git rev-parse HEAD
        env: { LEVEL: step, KEY: "\${{ secrets.KEY }}" }
  two:
    runs-on: x
    steps: [{ run: env; ls }]`,
      { vars: { TOP: "top" }, secrets: { KEY: "sesame" } },
    )
    const { given, env, stdout } = step(jobs.one, 1)
    expect(given).toEqual({ LEVEL: "step", KEY: "sesame" })
    expect(env).toMatchObject({ LEVEL: "step", TOP: "top", FROM_JOB: "top!", CI: "true", GITHUB_JOB: "one" })
    expect(stdout).toContain(`hello\n${env.GITHUB_SHA}`)
    expect(step(jobs.two, 0).stdout).not.toMatch(/sesame|README|VITEST/)
    expect(Object.keys(env)).not.toContain("VITEST")
  })

  it("grows by what earlier steps write to the runner's files", async () => {
    const { jobs } = await runJobs(
      oneJob(`
      - id: first
        run: |
          printf 'A=1\\nB<<END\\ntwo\\nlines\\nEND\\n' >> "$GITHUB_ENV"
          echo "answer=42" >> "$GITHUB_OUTPUT"
          mkdir bin; printf '#!/bin/sh\\necho tool' > bin/tool; chmod +x bin/tool; echo "$PWD/bin" >> "$GITHUB_PATH"
          echo "# Done" >> "$GITHUB_STEP_SUMMARY"
      - run: echo "$A $B $ANSWER $(tool)"
        env: { ANSWER: "\${{ steps.first.outputs.answer }}" }`),
    )
    expect(step(jobs.one, 0).summary).toBe("# Done\n")
    expect(step(jobs.one, 1).stdout).toBe("1 two\nlines 42 tool\n")
  })

  it("of a composite action has its inputs, and what it exports stays", async () => {
    const { jobs } = await runJobs(
      oneJob(`
      - uses: actions/checkout@v7
      - uses: ./greet
      - run: echo "$GREETED"
      - uses: ./greet
        with: { who: nobody }`),
      { actor: "ada" },
    )
    expect(jobs.one?.steps.map(({ outcome }) => outcome)).toEqual(["success", "success", "success", "failure"])
    expect(step(jobs.one, 1).steps?.map(({ outcome }) => outcome)).toEqual(["success", "skipped"])
    expect(step(jobs.one, 2).stdout).toBe("ada\n")
  })
})

describe.concurrent("what runs", () => {
  it("after a failed step: only what asks for it", async () => {
    const { jobs } = await runJobs(
      oneJob(`
      - run: exit 3
      - run: echo plain
      - { run: echo failure, if: failure() }
      - { run: echo always, if: "\${{ always() && github.actor == 'octocat' }}" }
      - { run: echo not cancelled, if: "!cancelled()" }
      - { run: echo other, if: always() && github.actor == 'ada' }`),
    )
    expect(jobs.one?.result).toBe("failure")
    const outcomes = ["failure", "skipped", "success", "success", "success", "skipped"]
    expect(jobs.one?.steps.map(({ outcome }) => outcome)).toEqual(outcomes)
    expect(step(jobs.one, 0).exitCode).toBe(3)
  })

  it("after a failed or skipped job: only what asks for it, along the whole chain", async () => {
    const steps = "runs-on: x, steps: [{ run: ls }]"
    const { jobs } = await runJobs(`jobs:
  red: { runs-on: x, steps: [{ run: exit 1 }] }
  off: { if: "vars.ON == 'true'", ${steps} }
  dependant: { needs: red, ${steps} }
  regardless: { needs: red, if: "\${{ !cancelled() }}", ${steps} }
  after: { needs: regardless, ${steps} }
  alarm: { needs: dependant, if: failure(), ${steps} }
  told: { needs: [red, off], if: "always() && needs.red.result == 'failure' && needs.off.result == 'skipped'", ${steps} }`)
    expect(mapResults(jobs)).toEqual({
      red: "failure",
      off: "skipped",
      dependant: "skipped",
      regardless: "success",
      after: "skipped",
      alarm: "success",
      told: "success",
    })
  })

  it("on a schedule or by hand is said in the run's name and the event", async () => {
    const jobs = oneJob(`
      - run: cat "$GITHUB_EVENT_PATH"; echo "[$SLOT]"
        env: { SLOT: "\${{ inputs.slot }}" }`)
    const runs = [
      await runJobs(jobs, { event: "schedule" }),
      await runJobs(jobs),
      await runJobs(jobs, { inputs: { "dry-run": true, slot: "2026-03-01" }, actor: "ada" }),
    ]
    expect(runs.map(({ runName }) => runName)).toEqual([
      "small real by the clock",
      "small real by octocat",
      "small dry by ada",
    ])
    const repository = '"repository":{"full_name":"octocat/night","private":true,"visibility":"private"}'
    const [schedule, hand, dry] = runs.map((run) => step(run.jobs.one, 0).stdout)
    expect(schedule).toBe(`{"schedule":"17 3 * * *",${repository}}[]\n`)
    expect(hand).toBe(`{"inputs":{"dry-run":"false","slot":""},${repository}}[]\n`)
    expect(dry).toBe(`{"inputs":{"dry-run":"true","slot":"2026-03-01"},${repository}}[2026-03-01]\n`)
  })
})

describe.concurrent("cancelling", () => {
  const sleeper = (onSignals: string) => `node -e '${onSignals}; setInterval(() => {}, 1000); console.log("ready")'`
  const tidy = sleeper('process.on("SIGINT", () => { console.log("cleaned up"); process.exit(1) })')
  const deaf = sleeper('for (const s of ["SIGINT", "SIGTERM"]) process.on(s, () => console.log(s))')

  it("sends SIGINT to the entry process; then only what asks for it runs", async () => {
    const { jobs } = await runJobs(
      `jobs:
  one:
    runs-on: x
    steps:
      - run: |
          exec ${tidy}
      - run: ls
      - { run: ls, if: "!cancelled()" }
      - { run: echo late, if: always() }
  two: { needs: one, if: "\${{ !cancelled() }}", runs-on: x, steps: [{ run: ls }] }
  last: { needs: one, if: always(), runs-on: x, steps: [{ run: ls }] }`,
      { cancelWhen: ({ output }) => output.includes("ready") },
    )
    expect(step(jobs.one, 0).stdout).toBe("ready\ncleaned up\n")
    expect(step(jobs.one, 0).cancelMs).toBeLessThan(5_000)
    expect(jobs.one?.steps.map(({ outcome }) => outcome)).toEqual(["cancelled", "skipped", "skipped", "success"])
    expect(mapResults(jobs)).toEqual({ one: "cancelled", two: "cancelled", last: "success" })
    expect(jobs.one?.leftBehind).toEqual({ processes: [], files: [] })
  })

  it("does not reach what bash has started: it is found behind", async () => {
    const { jobs } = await runJobs(oneJob(`- run: |\n          ${tidy}\n          echo done`), {
      cancelWhen: ({ output }) => output.includes("ready"),
    })
    expect(step(jobs.one, 0).stdout).toBe("ready\n")
    expect(jobs.one?.leftBehind.processes).toEqual([expect.stringContaining("cleaned up")])
  })

  it("ends with SIGTERM after 7.5 s and a kill after 2.5 s more", async () => {
    const { jobs } = await runJobs(oneJob(`- run: |\n          exec ${deaf}`), {
      cancelWhen: ({ output }) => output.includes("ready"),
    })
    expect(step(jobs.one, 0).stdout).toBe("ready\nSIGINT\nSIGTERM\n")
    expect(step(jobs.one, 0).cancelMs).toBeGreaterThan(9_500)
  })
})

/** A job `one` with these steps, each on a line of its own. */
function oneJob(steps: string): string {
  return `jobs:\n  one:\n    runs-on: x\n    steps:\n      ${steps.trim()}\n`
}

async function runJobs(jobs: string, options: Partial<WorkflowOptions> = {}) {
  const folder = mkdtempSync(path.join(tmpdir(), "workflow-file-"))
  const file = path.join(folder, "small.yml")
  writeFileSync(file, header + jobs)
  try {
    return await runWorkflow(file, { event: "workflow_dispatch", root, ...options })
  } finally {
    rmSync(folder, { recursive: true })
  }
}

const header = `name: small
run-name: small \${{ inputs.dry-run && 'dry' || 'real' }} by \${{ github.event_name == 'schedule' && 'the clock' || github.actor }}
on:
  schedule: [{ cron: "17 3 * * *" }]
  workflow_dispatch:
    inputs:
      dry-run: { type: boolean, default: false }
      slot: { type: string }
`

function step(job: JobRun | undefined, index: number) {
  const found = job?.steps[index]
  if (!found) throw new Error(`the job has no step ${index}`)
  return found
}

function mapResults(jobs: Record<string, JobRun>): Record<string, string> {
  return Object.fromEntries(Object.entries(jobs).map(([id, job]) => [id, job.result]))
}
