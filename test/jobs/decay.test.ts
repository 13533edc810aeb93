import { expect, it } from "vitest"
import { halving, itemsSql, makeWorld, runOther } from "../lib/decay/world.ts"

it("changes nothing and is red when the database is not there, and says which rules were not applied", async () => {
  const world = await makeWorld(itemsSql, halving)
  const run = await world.runAs(`${world.database.url}_gone`, "2026-01-03T04:00Z")
  expect(run.exitCode).toBe(1)
  expect(run.run.findings).toMatchObject([
    { subject: "database/main/decay/fading", outcome: "fail", detail: expect.stringContaining("does not exist") },
  ])
  expect(await world.values("select value from items order by id")).toEqual([1, 0.8, 0.4, null])
})

it("applied twice for one slot is applied once", async () => {
  const world = await makeWorld(itemsSql, halving)
  const first = await world.run("2026-01-03T04:00Z")
  expect(first.exitCode, first.stdout + first.stderr).toBe(0)
  expect(first.run.findings[0]?.detail).toContain(
    "1 row of 4 changed; 1 left alone, without a usable value, base, time or half-life; through 2026-01-03T00:00:00.000Z; first run",
  )
  const after = await world.values("select value from items order by id")
  expect(after).toEqual([0.25, 0.8, 0.4, null])
  const second = await world.run("2026-01-03T20:00Z")
  expect(second.exitCode).toBe(0)
  expect(second.run.findings[0]?.detail).toMatch(/^already applied through 2026-01-03T00:00:00.000Z by run /)
  expect(await world.values("select value from items order by id")).toEqual(after)
})

const steady = `create table items (id bigint generated always as identity primary key, value double precision not null, at timestamptz not null);
  insert into items (value, at) select 1 - n / 1000.0, '2025-12-01T00:00Z' from generate_series(0, 499) n`

it("13 days late it does 13 steps, and comes to what 13 runs come to", async () => {
  const late = await makeWorld(steady, halving)
  const often = await makeWorld(steady, halving)
  for (const world of [late, often]) await world.run("2026-01-01T04:00Z")
  for (let day = 2; day <= 14; day++) await often.run(`2026-01-${String(day).padStart(2, "0")}T04:${day}:00Z`)
  const run = await late.run("2026-01-14T22:00Z")
  expect(run.run.findings[0]).toMatchObject({
    outcome: "ok",
    facts: { steps: 13, considered: 500, changed: 500, planned: 500 },
  })
  const sql = "select value from items order by id"
  expect(await late.values(sql)).toEqual(await often.values(sql))
  expect((await late.values(sql))[0]).toBe(0.5 ** (31 + 13))
})

it("refuses a slot before the one that it was applied for, and a clock that went back within the day does no harm", async () => {
  const world = await makeWorld(itemsSql, halving)
  await world.run("2026-01-10T04:00Z")
  const before = await world.query("select * from items order by id")
  const same = await world.run("2026-01-10T01:00Z")
  expect([same.exitCode, same.run.findings[0]?.detail]).toEqual([0, expect.stringContaining("already applied through")])
  const back = await world.run("2026-01-09T04:00Z")
  expect(back.exitCode).toBe(1)
  expect(back.run.findings[0]?.detail).toContain(
    "nothing was changed: the slot 2026-01-09T04:00:00.000Z lies before 2026-01-10T00:00:00.000Z, up to which the rule was applied",
  )
  expect(back.run.findings[0]?.detail).toContain("update ops.decay_watermark set applied_through")
  expect(await world.query("select * from items order by id")).toEqual(before)
})

it("asks before it catches up on more than 30 days, and does on 30", async () => {
  const world = await makeWorld(itemsSql, halving)
  await world.run("2026-01-11T04:00Z")
  const before = await world.values("select value from items order by id")
  const asked = await world.run("2026-02-11T04:00Z")
  expect(asked.exitCode).toBe(1)
  expect(asked.run.findings[0]?.detail).toContain("31 steps are due since 2026-01-11T00:00:00.000Z, more than 30 days")
  expect(asked.run.findings[0]?.detail).toContain("--catch-up")
  expect(await world.values("select value from items order by id")).toEqual(before)
  const rehearsed = await world.run("2026-02-11T04:00Z", "--dry-run", "--catch-up")
  expect(rehearsed.run.findings[0]).toMatchObject({ outcome: "ok", facts: { steps: 31, changed: 3 } })
  const told = await world.run("2026-02-11T04:00Z", "--catch-up")
  expect(told.run.findings[0]).toMatchObject({ outcome: "ok", facts: { steps: 31, changed: 3 } })
  const later = await world.run("2026-03-13T04:00Z")
  expect(later.run.findings[0]).toMatchObject({ outcome: "ok", facts: { steps: 30 } })
})

it("a dry run shows the plan that is then applied, and makes nothing, not even the schema ops", async () => {
  const rule = `{ name: "fading", table: "items", column: "value", since: "at", halfLife: "1 day", thresholds: [{ below: 0.3 }] }`
  const world = await makeWorld(itemsSql, rule)
  const dry = await world.run("2026-01-06T04:00Z", "--dry-run")
  expect(dry.exitCode, dry.stderr).toBe(0)
  expect(dry.run.findings).toMatchObject([
    {
      subject: "database/main/decay/fading",
      outcome: "ok",
      facts: { considered: 4, leftAlone: 1, changed: 2, "crossed 0.3": 1, "under 0.3": 1 },
    },
  ])
  expect(dry.stdout).toContain("| would change | 2 |")
  expect(dry.stdout).toContain("| would fall to 0.3 or less (notify) | 1 |")
  expect(dry.stdout).toContain("| 1 | 1 | 0.03125 |")
  expect(dry.stdout).toMatch(/value +before +after\n0\.03125 to/)
  expect(await world.values("select value from items order by id")).toEqual([1, 0.8, 0.4, null])
  expect(await world.values("select count(*)::int from pg_namespace where nspname = 'ops'")).toEqual([0])
  const real = await world.run("2026-01-06T04:00Z")
  expect(real.run.findings).toMatchObject([
    { outcome: "ok", facts: { considered: 4, leftAlone: 1, changed: 2, marked: 0, "crossed 0.3": 1 } },
    {
      subject: "database/main/decay/fading/0.3",
      outcome: "warn",
      detail: "1 row fell to 0.3 or less; 1 are there now",
    },
  ])
  expect(await world.values("select value from items order by id")).toEqual([0.03125, 0.4, 0.4, null])
})

it("four runs at once apply it once, and the others say so", async () => {
  const world = await makeWorld(steady, halving)
  await world.run("2026-01-01T04:00Z")
  const runs = await Promise.all([1, 2, 3, 4].map(() => world.run("2026-01-02T04:00Z")))
  const details = runs.map(({ run }) => run.findings[0]?.detail ?? "")
  expect(runs.map(({ exitCode }) => exitCode)).toEqual([0, 0, 0, 0])
  expect(details.filter((detail) => detail.startsWith("500 rows of 500 changed"))).toHaveLength(1)
  expect(details.filter((detail) => detail.startsWith("already applied through 2026-01-02"))).toHaveLength(3)
  expect((await world.values("select value from items order by id"))[0]).toBe(0.5 ** 32)
})

it("computes from a base that never changes, and writes only the rows whose value is another one", async () => {
  const world = await makeWorld(
    `create table scores (id int primary key, start numeric(6,2) not null, score numeric(6,2), made date not null);
     insert into scores values (1, 100, 100, '2026-01-01'), (2, 80, 80, '2026-01-01'), (3, 50, 12.5, '2026-01-01'), (4, 10, null, '2026-01-01')`,
    `{ name: "worth", table: "scores", column: "score", since: "made", base: "start", halfLife: "1 day", timezone: "Europe/London" }`,
  )
  const run = await world.run("2026-01-03T04:00Z")
  expect(run.run.findings[0]).toMatchObject({ facts: { considered: 4, changed: 2, leftAlone: 1 } })
  expect(await world.values("select score from scores order by id")).toEqual(["25.00", "20.00", "12.50", null])
  // Another setting is another value, at once; the base is still there to say which.
  const other = await runOther(
    world,
    `{ name: "worth", table: "scores", column: "score", since: "made", base: "start", halfLife: "2 days" }`,
    "2026-01-03T05:00Z",
  )
  expect(other.run.findings[0]?.detail).toContain("settings changed since the last run: halfLife, timezone")
  expect(await world.values("select score from scores order by id")).toEqual(["50.00", "40.00", "25.00", null])
})

it("a rule that got another name is not applied to the same rows again", async () => {
  const world = await makeWorld(itemsSql, halving)
  await world.run("2026-01-06T04:00Z")
  const before = await world.values("select value from items order by id")
  const renamed = await runOther(world, halving.replace('"fading"', '"it\'s fading"'), "2026-01-06T05:00Z")
  expect(renamed.exitCode).toBe(1)
  const detail = renamed.run.findings[0]?.detail ?? ""
  expect(detail).toContain('the column decayed under the name "fading"')
  const statement = /(update ops\.decay_watermark set rule = .*?where rule = 'fading')/.exec(detail)?.[1] ?? ""
  expect(await world.values("select value from items order by id")).toEqual(before)
  await world.query(statement)
  const again = await runOther(world, halving.replace('"fading"', '"it\'s fading"'), "2026-01-06T05:00Z")
  expect(again.run.findings[0]?.detail).toContain("already applied")
})

it("marks rows that fall to a threshold, once, and says how many", async () => {
  const world = await makeWorld(
    `${itemsSql}; alter table items add status text not null default 'fresh', add spoiled_by numeric`,
    `{ name: "fading", table: "items", column: "value", since: "at", halfLife: "1 day", where: "status = 'fresh' -- only these",
       thresholds: [{ below: 0.3, action: "mark", set: { status: "spoiled", spoiled_by: { sql: "item.id * 2" } } }] }`,
  )
  const run = await world.run("2026-01-06T04:00Z")
  expect(run.run.findings[0]).toMatchObject({ outcome: "ok", facts: { marked: 1, changed: 2 } })
  expect(run.run.findings).toHaveLength(1)
  expect(await world.query("select id::int, status, spoiled_by from items order by id")).toMatchObject([
    { id: 1, status: "spoiled", spoiled_by: "2" },
    { id: 2, status: "fresh", spoiled_by: null },
    { id: 3, status: "fresh" },
    { id: 4, status: "fresh" },
  ])
  const next = await world.run("2026-01-07T04:00Z")
  expect(next.run.findings[0]).toMatchObject({ facts: { considered: 3, marked: 1, changed: 1 } })
})

it("applies the rule that was named, and says which there are when there is none of that name", async () => {
  const world = await makeWorld(
    itemsSql,
    `${halving}, { name: "other", table: "items", column: "id", since: "at", linear: { amount: 1, every: "1 day" } }`,
  )
  const unknown = await world.run("2026-01-06T04:00Z", "--rule", "fadin")
  expect([unknown.exitCode, unknown.run.summary]).toEqual([2, expect.stringContaining("(there is fading, other)")])
  const wrong = await world.run("2026-01-06T04:00Z", "--rule", "fading")
  expect([wrong.exitCode, wrong.run.summary]).toEqual([
    2,
    expect.stringContaining('decay[1] ("other"): column public.items.id tells rows apart'),
  ])
  const database = await world.run("2026-01-06T04:00Z", "--database", "man")
  expect([database.exitCode, database.run.summary]).toEqual([2, expect.stringContaining("(there is main)")])
})

it("records what it changed, and is not fooled by a database that has lost its watermark", async () => {
  const world = await makeWorld(itemsSql, halving)
  await world.run("2026-01-06T04:00Z")
  const before = await world.values("select value from items order by id")
  const audit = await world.checkout.read(".ops/ledger/audit/decay-main.jsonl")
  expect(JSON.parse(audit)).toMatchObject({
    type: "decay",
    rule: "fading",
    through: "2026-01-06T00:00:00.000Z",
    considered: 4,
    changed: 2,
  })
  await world.query("drop schema ops cascade")
  const lost = await world.run("2026-01-07T04:00Z")
  expect(lost.exitCode).toBe(1)
  const detail = lost.run.findings[0]?.detail ?? ""
  expect(detail).toContain("the database has no watermark of it, as after a restore without the schema ops")
  expect(await world.values("select value from items order by id")).toEqual(before)
  await world.query(/(insert into ops\.decay_watermark .*)$/.exec(detail)?.[1] ?? "")
  const back = await world.run("2026-01-07T04:00Z")
  expect(back.run.findings[0]).toMatchObject({ outcome: "ok", facts: { steps: 1 } })
})

it("goes on over the end of a year as over any other midnight", async () => {
  const world = await makeWorld(
    "create table items (id int primary key, value double precision, at timestamptz); insert into items values (1, 1, '2025-12-30T12:00+13')",
    `{ name: "fading", table: "items", column: "value", since: "at", halfLife: "1 day", timezone: "Pacific/Auckland" }`,
  )
  await world.run("2025-12-31T10:59Z")
  expect(await world.values("select value from items")).toEqual([1])
  await world.run("2025-12-31T11:00Z")
  expect(await world.values("select value from items")).toEqual([0.5])
})

it("refuses a slot to which the server's clock has not come, which would decay too far, and a dry run does too", async () => {
  const world = await makeWorld(itemsSql, halving)
  const before = await world.values("select value from items order by id")
  for (const more of [[], ["--dry-run"], ["--catch-up"]]) {
    const { run, exitCode } = await world.run("2100-01-01T04:00Z", ...more)
    expect(exitCode).toBe(2)
    expect(run.summary).toMatch(
      /databases\.main: the slot 2100-01-01T04:00:00.000Z has not come: the clock of the database server says 20\d\d-/,
    )
  }
  expect(await world.values("select value from items order by id")).toEqual(before)
})

it("finds its watermark where the database writes times in another way", async () => {
  const world = await makeWorld(itemsSql, halving)
  await world.query(
    "do $$begin execute format('alter database %I set datestyle = ''SQL, DMY''', current_database()); end$$",
  )
  await world.run("2026-01-12T04:00Z")
  const before = await world.values("select value from items order by id")
  const late = await world.run("2026-01-13T04:00Z")
  expect(late.run.findings).toMatchObject([{ outcome: "ok", facts: { steps: 1 } }])
  expect(await world.values("select value from items order by id")).toEqual(
    before.map((value) => (value === null ? null : Number(value) / 2)),
  )
})

it("a rule that would change more rows than --limit changes none, dry or real, until the limit is higher", async () => {
  const world = await makeWorld(steady, halving)
  for (const dry of [["--dry-run"], []]) {
    const refused = await world.run("2026-01-03T04:00Z", "--limit", "499", ...dry)
    expect(refused.exitCode).toBe(1)
    expect(refused.run.findings[0]?.detail).toContain("it would change 500 rows, and --limit is 499")
  }
  expect(await world.values("select max(value) from items")).toEqual([1])
  expect((await world.run("2026-01-03T04:00Z", "--limit", "500")).exitCode).toBe(0)
  expect(await world.values("select max(value) < 0.5 from items")).toEqual([true])
  expect((await world.run("2026-01-03T04:00Z", "--limit", "few")).exitCode).toBe(2)
})
