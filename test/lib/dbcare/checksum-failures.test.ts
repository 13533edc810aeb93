import { expect, it } from "vitest"
import { careSchema } from "../../../lib/config/care-schema.ts"
import { checksumFailuresCheck } from "../../../lib/dbcare/counters-checks.ts"
import { judgeChecks } from "../../../lib/dbcare/judge-checks.ts"
import { askCheck, itemsOf } from "../../support/care.ts"
import { withChecksums } from "../../support/checksummed.ts"

it("a page that is damaged on the disk is a failure of the first degree as soon as anybody has read it", async () => {
  await withChecksums(async ({ address, query, damage }) => {
    await query(
      "create table notes (id int, note text); insert into notes select n, 'x' from generate_series(1, 5000) n",
    )
    expect(await itemsOf(checksumFailuresCheck, address)).toEqual([])

    await damage("notes", 3)
    await expect(query("select count(*) from notes")).rejects.toThrow("invalid page in block 3")
    await expect
      .poll(() => itemsOf(checksumFailuresCheck, address), { timeout: 10_000 })
      .toMatchObject([
        {
          item: "checksum failures",
          outcome: "fail",
          detail:
            "1 page of this database, or of the catalogue that all share, failed the checksum: data on the disk is damaged",
          evidence: { failures: 1 },
        },
      ])

    const result = await askCheck(checksumFailuresCheck, address)
    const reports = [{ check: checksumFailuresCheck, result, durationMs: 1 }]
    const judged = judgeChecks("main", reports, {
      settings: careSchema.parse({}),
      now: new Date("2026-03-29T04:00:00Z"),
      lastWeek: undefined,
    })
    expect(judged[0]?.finding).toMatchObject({
      subject: "database/main/care/checksum-failures",
      outcome: "fail",
      severity: "P0",
      isConfirmed: true,
      runbook: "database-checksum-failures",
    })

    await damage("pg_shdescription", 0) // of which each database says that it is not its own
    await expect(query("select count(*) from pg_shdescription")).rejects.toThrow("invalid page in block 0")
    await expect
      .poll(() => itemsOf(checksumFailuresCheck, address), { timeout: 10_000 })
      .toMatchObject([{ outcome: "fail", evidence: { failures: 2 } }])
  })
})
