import { randomUUID } from "node:crypto"
import { afterEach, describe, expect, inject, it, onTestFinished, vi } from "vitest"
import { openStore } from "../../lib/store/open.ts"
import { isPart, type Rule, startFaultyProxy } from "../support/faulty-proxy.ts"
import { setup } from "../support/night.ts"
import { descendants, untilProcess } from "../support/processes.ts"
import { createBucket, s3Environment, s3UrlFor } from "../support/s3-server.ts"
import { committedDays, contents } from "../support/sets.ts"

const s3 = inject("s3")
const first = "2026-03-01T03:17:00Z"
const second = "2026-03-02T03:17:00Z"
const bulk = `create table bulk as select i as id,
  (select string_agg(md5(i::text || '.' || j), '') from generate_series(1, 300) j) as body from generate_series(1, 2000) i`

afterEach(() => {
  vi.unstubAllEnvs()
})

describe("backup, at the end of its patience", () => {
  it.each<[string, Rule, RegExp]>([
    [
      "is down for ever",
      { fault: { answer: 503 } },
      /the answer was 503 ServiceUnavailable, also at attempt \d+: the provider is in trouble/,
    ],
    [
      "breaks every part",
      { when: isPart, fault: { resetUploadAfter: 500_000 } },
      /cannot store main\/\S+dump\S+ in s3:.*broke again and again: check the network/,
    ],
  ])("gives up when the bucket %s, and leaves nothing", async (_, rule, message) => {
    for (const [name, value] of Object.entries(s3Environment(s3))) vi.stubEnv(name, value)
    const bucket = `long-${randomUUID()}`
    await createBucket(s3, bucket)
    const proxy = await startFaultyProxy(s3.endpoint)
    onTestFinished(() => proxy.stop())
    const night = await setup({ sql: bulk, storeUrl: s3UrlFor({ ...s3, endpoint: proxy.url }, bucket, "nightly") })
    const store = openStore(s3UrlFor(s3, bucket, "nightly"), { variable: "BACKUP_STORE" })
    await night.run("backup", first)
    const before = await contents(store)
    proxy.rules = [rule]

    const bad = await night.run("backup", second)

    expect([bad.exitCode, bad.run.summary]).toEqual([1, expect.stringMatching(message)])
    expect(await contents(store)).toEqual(before)
    proxy.rules = []
    expect((await night.run("backup", second)).exitCode).toBe(0)
  })

  it("makes no set when the job's time is up, and says what to change", async () => {
    const night = await setup({ sql: bulk, backup: "jobMinutes: 1" })
    await night.run("backup", first)
    const before = await contents(night.store)
    const ended = night.run("backup", second)
    process.kill(await untilProcess(process.pid, /pg_dump --format=custom/), "SIGSTOP")

    const bad = await ended

    expect([bad.exitCode, bad.run.summary]).toEqual([
      1,
      expect.stringMatching(/no new set: .*the backup did not end within its 1 min: raise jobMinutes/),
    ])
    expect(await contents(night.store)).toEqual(before)
    expect(await committedDays(night.store)).toEqual(["2026-03-01"])
    expect(await descendants(process.pid, /pg_dump/)).toEqual([])
  })
})
