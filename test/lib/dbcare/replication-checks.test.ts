import { describe, expect, it } from "vitest"
import { judgeLag, ownLag, type Replay, replicationLagCheck } from "../../../lib/dbcare/replication-checks.ts"
import { askCheck, itemsOf } from "../../support/care.ts"
import { withReplica } from "../../support/replica.ts"

const threshold = { warn: 60, fail: 600 }
const GB = 1e9

describe("a standby that is behind", () => {
  it("is told on both servers while its replay is paused, with seconds and bytes, and no longer when it went on", async () => {
    await withReplica(async ({ primary, replica, query, pause, resume, untilEven }) => {
      const low = { warn: 0.001, fail: 3600 }
      await query(primary, "create table t (i int)")
      await untilEven()
      expect(await itemsOf(replicationLagCheck, replica, low)).toEqual([])

      await pause()
      await query(primary, "insert into t select generate_series(1, 1000)")
      await query(primary, "insert into t select generate_series(1, 1000)")
      await expect
        .poll(() => itemsOf(replicationLagCheck, primary, low), { timeout: 10_000 })
        .toMatchObject([
          {
            item: "replica_of_test",
            outcome: "warn",
            detail: expect.stringMatching(/^\d.* (ms|s) and \d.* kB behind$/),
            evidence: { seconds: expect.any(Number), bytes: expect.any(Number) },
          },
        ])
      await expect
        .poll(() => itemsOf(replicationLagCheck, replica, low), { timeout: 10_000 })
        .toMatchObject([
          {
            item: "this server",
            outcome: "warn",
            detail: expect.stringMatching(
              /^\d.* s and \d.* kB behind; its replay is paused; the time is that since the last transaction it replayed$/,
            ),
          },
        ])
      const [item] = await itemsOf(replicationLagCheck, replica, low)
      expect(item?.evidence.seconds).toBeGreaterThanOrEqual(1)
      expect(item?.evidence.bytes).toBeGreaterThan(50_000)
      expect(await itemsOf(replicationLagCheck, replica)).toEqual([])

      await resume()
      await untilEven()
      await expect.poll(() => itemsOf(replicationLagCheck, primary, low), { timeout: 10_000 }).toEqual([])
      expect(await itemsOf(replicationLagCheck, replica, low)).toEqual([])
    })
  })

  it("cannot tell how far it is behind while it receives nothing, and does not say that all is well", async () => {
    await withReplica(async ({ primary, replica, query }) => {
      const [place] = await query(primary, "select current_setting('hba_file') as file")
      await query(primary, `copy (select 'local all all trust') to '${place?.file}'`) // which lets no standby in
      await query(primary, "select pg_reload_conf(), pg_terminate_backend(pid) from pg_stat_replication")
      await expect
        .poll(() => askCheck(replicationLagCheck, replica), { timeout: 10_000 })
        .toMatchObject({ status: "skipped", reason: expect.stringContaining("receives no stream from a primary") })
      expect(await itemsOf(replicationLagCheck, primary)).toEqual([])
    })
  })

  it("is judged by bytes where no time was measured, and by the worse of both where one was", () => {
    const judge = (bytes: number | null, seconds: number | null) =>
      judgeLag({ name: "far", bytes, seconds }, threshold).map(({ outcome }) => outcome)
    expect(judge(0.9 * GB, null)).toEqual([])
    expect(judge(1 * GB, null)).toEqual(["warn"])
    expect(judge(40 * GB, null)).toEqual(["fail"])
    expect(judge(40 * GB, 70)).toEqual(["fail"])
    expect(judge(1000, 70)).toEqual(["warn"])
    expect(judge(2 * GB, 700)).toEqual(["fail"])
    expect(judge(null, null)).toEqual([])
    const [item] = judgeLag({ name: "far", bytes: 40 * GB, seconds: null }, threshold)
    expect(item?.detail).toBe("40.0 GB behind (the server measured no time)")
    expect(item?.evidence).toEqual({ bytes: 40 * GB })
  })

  it("is not called so for a time that is stale: it has replayed all", () => {
    expect(judgeLag({ name: "even", bytes: 0, seconds: 9000 }, threshold)).toEqual([])
  })
})

describe("a standby that is asked itself", () => {
  const hours = 3 * 3600
  const at = (received: number | null, replayed: number, lastAt: number | null = 1000, age = hours): Replay => ({
    ...{ received, replayed, lastAt, age },
    ...{ isReceiving: true, isPaused: false },
  })

  it("is even when it replayed what it had received a second ago, after however quiet hours", () => {
    expect(ownLag(at(500, 400), at(500, 500))).toBeUndefined()
    expect(ownLag(at(500, 400), at(900, 500))).toBeUndefined()
  })

  it("is as far behind as the transaction that it just replayed is old", () => {
    expect(ownLag(at(5000, 400, 1000), at(5000, 600, 1001, 700))).toEqual({
      name: "this server",
      bytes: 4400,
      seconds: 700,
    })
  })

  it("has no time while it replays one long transaction, and bytes speak", () => {
    const lag = ownLag(at(20 * GB, 1 * GB), at(20 * GB, 2 * GB))
    expect(lag).toMatchObject({ bytes: 18 * GB, seconds: null })
    expect(lag && judgeLag(lag, threshold)).toMatchObject([{ outcome: "fail" }])
    const short = ownLag(at(5000, 400), at(5000, 600))
    expect(short && judgeLag(short, threshold)).toEqual([])
  })

  it("is behind when it replays nothing, and says what its time is", () => {
    const lag = ownLag(at(5000, 400), at(6000, 400))
    expect(lag && judgeLag(lag, threshold)).toMatchObject([
      { outcome: "fail", detail: expect.stringContaining("it replayed nothing between two looks; the time is that") },
    ])
  })

  it("has nothing to replay where it receives from an archive alone, or had received less than it replayed", () => {
    expect(ownLag(at(null, 400), at(null, 400))).toBeUndefined()
    expect(ownLag(at(300, 400), at(300, 400))).toBeUndefined()
  })
})
