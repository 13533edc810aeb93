import { describe, expect, it } from "vitest"
import { readObservations } from "../../lib/ledger/observations.ts"
import { openLedger } from "../../lib/ledger/open.ts"
import { alert, alertOf, jobSteps, pulse, withPulse } from "../support/pulse-world.ts"

describe("pulse.yml", () => {
  it("pings, looks, keeps what it saw, and tells nobody that all is well", { timeout: 120_000 }, async () => {
    await withPulse(async (world) => {
      const good = await world.run(pulse, { event: "schedule" })
      const [keepWarm, health] = jobSteps(good)
      expect([keepWarm?.outcome, health?.outcome], `${keepWarm?.stderr}${health?.stderr}`).toEqual([
        "success",
        "success",
      ])
      const [from, to] = [new Date(Date.now() - 600_000), new Date(Date.now() + 60_000)]
      const seen = await readObservations(openLedger(world.ledger), from, to)
      expect(seen.map(({ by, outcome }) => `${by} ${outcome}`)).toEqual(["keep-warm ok", "health ok"])
      expect(world.slack.received).toEqual([])
      expect(Object.values(good.jobs)).toMatchObject([{ leftBehind: { processes: [], files: [] } }])
    })
  })
})

describe("alert.yml", () => {
  it.each(["success", "skipped", "neutral"])("bills nothing after a run that ended with %s", async (conclusion) => {
    await withPulse(async ({ run, github }) => {
      const { jobs } = await run(alert, { event: "workflow_run", ended: { id: 5, name: "pulse", conclusion } })
      expect(jobs).toMatchObject({ alert: { result: "skipped", steps: [] } })
      expect(github.requests).toEqual([])
    })
  })

  it("opens one issue and rings once for a pulse that was cancelled", { timeout: 120_000 }, async () => {
    await withPulse((world) => alertOf("cancelled", world))
  })
})
