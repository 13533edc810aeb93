import { describe, expect, it } from "vitest"
import { parseSetId } from "../../lib/backup/set.ts"
import { setup } from "../support/night.ts"
import { committedDays, committedSets, contents, readManifest } from "../support/sets.ts"

const first = "2026-03-01T03:17:00Z"
const second = "2026-03-02T03:17:00Z"
const third = "2026-03-03T03:17:00Z"
const sql =
  "create table notes (id int, body text); create table tags (id int); insert into notes select i, md5(i::text) from generate_series(1, 1000) i"

describe("backup, compared with the set before", () => {
  it.each([
    ["fewer tables", "drop table tags", /2 tables became 1$/],
    ["many fewer rows", "delete from notes where id > 600", /1,000 rows became 600; .* of dump became /],
    ["no rows at all", "truncate notes", /1,000 rows became 0; /],
  ])("keeps a set with %s and is red, once", async (_, loss, message) => {
    const night = await setup({ sql })
    await night.run("backup", first)
    const before = await contents(night.store)
    await night.database.query(loss)

    const shrunk = await night.run("backup", second)

    expect(shrunk.exitCode).toBe(1)
    const finding = shrunk.run.findings.find(({ outcome }) => outcome === "fail")
    expect(finding).toMatchObject({ subject: "database/main/backup/shrunk", runbook: "backup" })
    expect(finding?.detail).toMatch(
      /^the new set 2026-03-02T\S+Z is kept, but it holds much less than the one before: /,
    )
    expect(finding?.detail).toMatch(message)
    expect(await committedDays(night.store)).toEqual(["2026-03-01", "2026-03-02"])
    expect(await contents(night.store)).toMatchObject(before)
    expect((await night.run("backup", third)).exitCode).toBe(0)
  })

  it("says nothing about a loss that the configuration allows", async () => {
    const night = await setup({ sql, backup: "shrinkPercent: 50" })
    await night.run("backup", first)
    await night.database.query("delete from notes where id > 600")
    expect((await night.run("backup", second)).exitCode).toBe(0)
  })

  it("makes a set of an empty database, which restores", async () => {
    const night = await setup()
    await night.run("backup", first)
    const [set = ""] = await committedSets(night.store)
    expect((await readManifest(night.store, set)).totals).toMatchObject({ tables: 0, rows: 0 })
    expect((await night.run("restore-test", "2026-03-01T04:17:00Z")).exitCode).toBe(0)
  })
})

describe("backup, and the clock", () => {
  it("takes the next free second when there are sets or remains at its own already", async () => {
    const night = await setup({ sql })
    const at = (second: number) => `main/2026-03-01T03-17-${String(second).padStart(2, "0")}Z/dump.pgc.zst.age`
    for (let second = 0; second <= 40; second++)
      await night.store.put(at(second), new Uint8Array(1), { contentType: "application/octet-stream" })
    expect((await night.run("backup", first)).exitCode).toBe(0)
    expect(await committedSets(night.store)).toEqual(["2026-03-01T03-17-41Z"])
    expect((await readManifest(night.store, "2026-03-01T03-17-41Z")).set).toBe("2026-03-01T03-17-41Z")
  })

  it("counts on over the year's end", async () => {
    const night = await setup({ sql })
    for (let round = 0; round < 2; round++)
      expect((await night.run("backup", "2026-12-31T23:59:59.900Z")).exitCode).toBe(0)
    const [last = "", next = ""] = await committedSets(night.store)
    expect(parseSetId(next)?.getTime()).toBeGreaterThan(parseSetId(last)?.getTime() ?? 0)
    expect(next).toMatch(/^2027-01-01T00-00-0\dZ$/)
    const { run } = await night.run("restore-test", "2027-01-01T01:00:00Z")
    expect(run.findings[0]).toMatchObject({ outcome: "ok", facts: { set: next } })
  })
})
