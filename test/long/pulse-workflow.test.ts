import { expect, it } from "vitest"
import { alertOf, jobSteps, pulse, withPulse } from "../support/pulse-world.ts"

it.each(["timed_out", "failure"])("alert.yml tells once of a pulse that ended by %s", async (conclusion) => {
  await withPulse((world) => alertOf(conclusion, world, 2))
})

it("pulse.yml looks at the services although keep-warm broke, and is red", async () => {
  await withPulse(async ({ run, slack }) => {
    const broken = `import { defineJob } from "../lib/job/job.ts"
export default defineJob({ name: "keep-warm", about: "Breaks", config: () => ({}), run: () => Promise.reject(new Error("no more")) })`
    const { jobs } = await run(pulse, { event: "schedule", files: { "jobs/keep-warm.ts": broken } })
    expect(jobs.pulse?.result).toBe("failure")
    expect(jobSteps({ jobs, runName: "" }).map(({ outcome }) => outcome)).toEqual(["failure", "success"])
    expect(JSON.stringify(slack.received)).toContain("keep-warm did not do its work")
  })
})
