import { expect, it } from "vitest"
import type { Log } from "../../../lib/core/log.ts"
import { withExclusiveSession } from "../../../lib/postgres/exclusive.ts"
import { withDatabase } from "../../support/postgres.ts"

const log: Log = { debug() {}, info() {}, warn() {}, error() {}, progress: () => ({ at() {}, done() {} }) }

it("one job at a time works on a database, and who waits in vain hears who it is", async () => {
  await withDatabase("", async ({ address }) => {
    const order = { database: "main", address, lockWaitMs: 0, log, signal: AbortSignal.timeout(20_000) }
    await withExclusiveSession({ ...order, job: "cleanup" }, async () => {
      const second = withExclusiveSession({ ...order, job: "decay" }, async () => "both")
      await expect(second).rejects.toThrow(/the lock nightshift\/main is held by nightshift\/cleanup \(pid \d+/)
      const other = withExclusiveSession({ ...order, database: "other", job: "decay" }, async () => "beside it")
      expect(await other).toBe("beside it")
    })
    expect(await withExclusiveSession({ ...order, job: "decay" }, async () => "after it")).toBe("after it")
  })
})
