import { describe, expect, it } from "vitest"
import { careSchema } from "../../../lib/config/care-schema.ts"
import { careChecks } from "../../../lib/dbcare/all-checks.ts"
import { careRecord, lookOfLastWeek, readLooks } from "../../../lib/dbcare/care-ledger.ts"
import type { CareCheck, CheckResult } from "../../../lib/dbcare/check.ts"
import { chooseChecks, chooseTargets } from "../../../lib/dbcare/choose.ts"
import { runChecks } from "../../../lib/dbcare/run-checks.ts"
import { parsePostgresUrl } from "../../../lib/postgres/address.ts"
import { withClient } from "../../../lib/postgres/connect.ts"
import { withPgbouncer } from "../../support/pgbouncer.ts"
import { withDatabase, withRole } from "../../support/postgres.ts"

const now = new Date("2026-03-29T04:00:00Z")
const signal = AbortSignal.timeout(30_000)

function asks(name: string, sql: string): CareCheck {
  const run = async ({ client }: { client: { query(sql: string): Promise<{ rowCount: number | null }> } }) => {
    const { rowCount } = await client.query(sql)
    return { status: "done", looked: rowCount ?? 0, items: [] } satisfies CheckResult
  }
  return { name, about: name, needs: "nothing", threshold: { warn: 1, fail: 2 }, severity: "P3", run }
}

const order = { settings: careSchema.parse({ checks: { off: { off: true } } }), now, earlier: [], signal }

describe("running checks", () => {
  it("goes on after one that breaks, and leaves out what is switched off", async () => {
    await withDatabase("", async ({ address }) => {
      const checks = [asks("broken", "select no_such_column"), asks("off", "select 1"), asks("good", "select 1")]
      const reports = await runChecks({ ...order, address, checks })
      expect(reports.map(({ result }) => result)).toMatchObject([
        { status: "failed", reason: expect.stringContaining("no_such_column") },
        { status: "done", looked: 1 },
      ])
    })
  })

  it("cannot write, and is not led astray by tables that are named like the catalogue's", async () => {
    await withDatabase("create table public.pg_class (oid oid); create table t (i int)", async (database) => {
      const checks = [
        asks("writes", "insert into public.t values (1)"),
        asks("reads", "select relname from pg_class limit 1"),
      ]
      const reports = await runChecks({ ...order, address: database.address, checks })
      expect(reports[0]?.result).toMatchObject({ status: "failed", reason: expect.stringContaining("read-only") })
      expect(reports[1]?.result).toMatchObject({ status: "done", looked: 1 })
      expect(await database.query("select * from t")).toEqual([])
    })
  })

  it("reads times whatever style of dates the database writes", async () => {
    await withDatabase("create table t (i int)", async (database) => {
      await database.query(`alter database ${database.name} set datestyle = 'SQL, DMY'`)
      const reports = await runChecks({ ...order, address: database.address, checks: careChecks })
      expect(reports.filter(({ result }) => result.status === "failed")).toEqual([])
    })
  })

  it("says of a role that may not look that it may not", async () => {
    await withDatabase("create table secrets (s text)", async (database) => {
      await withRole(database, "word", async (role) => {
        const address = parsePostgresUrl(database.urlAs(role, "word"), "DATABASE_URL")
        const [report] = await runChecks({ ...order, address, checks: [asks("reads", "select * from public.secrets")] })
        expect(report?.result).toMatchObject({ status: "skipped", reason: expect.stringContaining(`${role} may not`) })
      })
    })
  })

  it("refuses a transaction pooler before it sets anything: the app would get these settings", async () => {
    await withDatabase("create table t (i int)", async (database) => {
      await withPgbouncer("transaction", async (port) => {
        const address = { ...database.address, host: "127.0.0.1", port }
        const asked = runChecks({ ...order, address, checks: [asks("good", "select 1")] })
        await expect(asked).rejects.toThrow("transaction pooler")
        await withClient(address, { applicationName: "shop" }, (client) => client.query("insert into t values (1)"))
      })
      expect(await database.query("select i from t")).toEqual([{ i: 1 }])
    })
  })

  it("ends when the connection is lost", async () => {
    await withDatabase("", async ({ address }) => {
      const checks = [asks("ends itself", "select pg_terminate_backend(pg_backend_pid())"), asks("good", "select 1")]
      await expect(runChecks({ ...order, address, checks })).rejects.toThrow("was lost")
    })
  })
})

describe("the ledger of checks", () => {
  const report = (name: string, result: Extract<CheckResult, { status: "done" }>) => ({
    check: asks(name, ""),
    result,
    durationMs: 1,
  })

  it("gives back the looks of the last 40 days, over the turn of a year, and passes over what is none", async () => {
    const newYear = new Date("2027-01-03T04:00:00Z")
    const days = [60, 30, 7, 1].map((back) => new Date(newYear.getTime() - back * 86_400_000))
    const records = days.map((at) =>
      careRecord("main", [report("a", { status: "done", looked: 1, items: [], numbers: { n: 1 } })], at, "run-1"),
    )
    expect(new Set(records.map(({ stream }) => stream))).toEqual(
      new Set(["care/main/2026.jsonl", "care/main/2027.jsonl"]),
    )
    const read = async (stream: string) => [
      ...records.filter((record) => record.stream === stream).map(({ row }) => row),
      { type: "care", run: "public" },
      "torn",
    ]
    const looks = await readLooks({ read }, "main", newYear)
    expect(looks.map(({ at }) => at)).toEqual(days.slice(1))
    expect(lookOfLastWeek(looks, newYear)?.at).toEqual(days[2])
    expect(looks[0]).toMatchObject({ numbers: { n: 1 }, found: { a: [] } })
  })
})

describe("choosing", () => {
  it("names what is meant when the name is not known", () => {
    const checks = [asks("sequences", ""), asks("limits", "")]
    expect(chooseChecks(checks, undefined)).toHaveLength(2)
    expect(chooseChecks(checks, ["limits"]).map(({ name }) => name)).toEqual(["limits"])
    expect(() => chooseChecks(checks, ["sequence"])).toThrow("--check sequence: did you mean sequences?")
    expect(() => chooseTargets([{ database: "main" }], "other")).toThrow("--database other: there are: main")
    expect(() => chooseTargets([], undefined)).toThrow("there is no database")
  })
})
