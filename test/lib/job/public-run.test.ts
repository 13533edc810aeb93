import { expect, it } from "vitest"
import type { Observation } from "../../../lib/core/observation.ts"
import { publicRecords, recordsOf } from "../../../lib/job/public-run.ts"
import { readDay } from "../../../lib/ledger/observations.ts"

const seen: Observation = {
  ...{
    at: new Date("2026-03-01T03:07:00Z"),
    service: "api",
    by: "health",
    outcome: "fail",
    class: "body",
    status: 503,
  },
  ...{ latencyMs: 120, totalMs: 130, cause: "service/db", version: "4f1c2aa", numbers: { "memory.percent": 91 } },
}

/** What a reader of the ledger finds. */
function kept(observation: Observation, isPublic: boolean): Observation[] {
  const records = (isPublic ? publicRecords : recordsOf)({ observations: [observation] })
  const rows = records.flatMap(({ row, headers = [] }) => [...headers, row])
  return readDay(rows, new Date("2026-03-01T00:00:00Z"))
}

it("a public ledger has outcomes and times, and the version of what tells it to everyone", () => {
  const times = { at: seen.at, service: "api", by: "health", outcome: "fail", latencyMs: 120, totalMs: 130 }
  expect(kept(seen, true)).toEqual([times])
  expect(kept({ ...seen, isOpen: true }, true)).toEqual([{ ...times, version: "4f1c2aa" }])
  expect(kept({ ...seen, isOpen: true }, false)).toEqual([seen])
})
