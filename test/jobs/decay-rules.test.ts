import { expect, it } from "vitest"
import { halving, itemsSql, makeWorld } from "../lib/decay/world.ts"
import { withRole } from "../support/postgres.ts"

/** What the run says is to be corrected, each without the rule's path. */
function problemsOf(findings: readonly { detail: string }[]): string[] {
  return findings.map(({ detail }) => detail.replace(/^databases\.main\.decay\[\d+\] \("[^"]*"\): /, ""))
}

it("names every problem of every rule at once, and changes nothing", async () => {
  const world = await makeWorld(
    `${itemsSql};
     alter table items add wanted text, add whole integer, add money numeric(8,2), add doubled double precision generated always as (value * 2) stored;
     create table kinds (id int primary key, half_life interval, label text); create table bare (value real, at date);
     create view seen as select * from items`,
    [
      halving,
      `{ name: "a", table: "items", column: "valu", since: "att", halfLife: "1 day" }`,
      `{ name: "b", table: "itms", column: "value", since: "at", halfLife: "1 day" }`,
      `{ name: "c", table: "items", column: "doubled", since: "note", halfLife: "1 day" }`,
      `{ name: "d", table: "items", column: "whole", since: "at", halfLife: "1 day" }`,
      `{ name: "e", table: "items", column: "money", since: "at", linear: { amount: 0.001, every: "1 day" } }`,
      `{ name: "f", table: "bare", column: "value", since: "at", halfLife: "1 day" }`,
      `{ name: "g", table: "seen", column: "value", since: "at", halfLife: "1 day" }`,
      `{ name: "h", table: "items", column: "value", since: "at", halfLife: { table: "kinds", column: "label", by: "whole" } }`,
      `{ name: "i", table: "items", column: "value", since: "at", halfLife: { table: "kinds", column: "half_life", by: "whole", key: "half_life" } }`,
      `{ name: "j", table: "items", column: "value", since: "at", halfLife: "1 day", where: "true) or (true" }`,
      `{ name: "k", table: "items", column: "value", since: "at", base: 1, expression: "base * itm.value" }`,
      `{ name: "l", table: "items", column: "value", since: "at", halfLife: "1 day", thresholds: [{ below: 0.2, action: "mark", set: { whole: "many", at: null } }] }`,
      `{ name: "m", table: "items", column: "value", since: "at", base: "value", steps: [{ after: "1 day", share: 0.5 }] }`,
      `{ name: "q", table: "items", column: "value", since: "at", base: 1, expression: "base * random()" }`,
      `{ name: "r", table: "items", column: "value", since: "at", base: 1, steps: [{ after: "2 days", share: 0.5 }, { after: "1 day", share: 0.7 }], thresholds: [{ below: -1 }] }`,
      `{ name: "s", table: "items", column: "value", since: "at", halfLife: "1 day", where: "$1 = 1" }`,
      `{ name: "t", table: "items", column: "value", since: "at", halfLife: "1 day", where: "true; delete from items" }`,
      `{ name: "u", table: "items", column: "value", since: "at", halfLife: "1 day", where: "at > NOW() - interval '1 day'" }`,
    ].join(", "),
  )
  const run = await world.run("2026-01-06T04:00Z")
  expect(run.exitCode, run.run.summary).toBe(2)
  const problems = problemsOf(run.run.findings)
  for (const wanted of [
    'table public.items has no column "valu": did you mean value?',
    'table public.items has no column "att": did you mean at?',
    "table public.itms does not exist: did you mean public.items?",
    "column public.items.doubled is generated from others and cannot be written",
    "since public.items.note is text: it takes a timestamptz, a timestamp or a date",
    "column public.items.whole is integer, which rounds what each step leaves",
    "column public.items.money is numeric(8,2), which rounds what each step leaves",
    "table public.bare has no primary key",
    "public.seen is a view: name the table that its rows are in",
    "halfLife.column public.kinds.label is text: it takes an interval, or a number of days",
    "halfLife.key public.kinds.half_life is not unique",
    'where: syntax error at or near ")"',
    'expression: missing FROM-clause entry for table "itm"',
    "thresholds[0].set.at is since of the rule: setting it would undo the decay",
    "base is public.items.value, which the rule itself changes",
    "expression uses random(), so that it gives something else each time: use age_days",
    "where uses NOW(), so that it gives something else each time: compare with a column",
    "steps do not fall",
    "thresholds[0].below is -1, under the floor 0",
    "where: it has a parameter such as $1",
    "where: syntax error at or near",
  ]) {
    expect(problems).toContainEqual(expect.stringContaining(wanted))
  }
  expect(run.stdout).toContain('databases.main.decay[1] ("a")')
  expect(await world.values("select value from items order by id")).toEqual([1, 0.8, 0.4, null])
  expect(await world.values("select count(*)::int from pg_namespace where nspname = 'ops'")).toEqual([0])
})

it("works on names that would break out of any quotes, and keeps apart values from SQL", async () => {
  const world = await makeWorld(
    `create schema "sch ä'ma"; create table "sch ä'ma"."we""ird; drop table x" ("the ""key""" text, "k;2" date, "o'clock ⏰" timestamp, "va lue" real, primary key ("the ""key""", "k;2"));
     insert into "sch ä'ma"."we""ird; drop table x" select 'k''' || n, '2026-01-01', '2026-01-01', 64 from generate_series(1, 250) n;
     create table x ()`,
    `{ name: "wéird 'rule' | \\"x\\"", table: "sch ä'ma.we\\"ird; drop table x", column: "va lue", since: "o'clock ⏰", halfLife: "1 day", batchRows: 100,
       where: '"va lue" > 0 -- a comment', thresholds: [{ below: 20 }] }`,
  )
  const run = await world.run("2026-01-03T04:00Z")
  expect(run.exitCode, run.stdout + run.stderr).toBe(0)
  expect(run.run.findings[0]).toMatchObject({ facts: { changed: 250, "crossed 20": 250 } })
  expect(await world.values(`select distinct "va lue" from "sch ä'ma"."we""ird; drop table x"`)).toEqual([16])
  expect(await world.values("select count(*)::int from pg_class where relname = 'x'")).toEqual([1])
  const twice = await world.run("2026-01-03T05:00Z")
  expect(twice.run.findings[0]?.detail).toContain("already applied")
})

it("says which right is missing, and works with exactly the rights that it needs", async () => {
  const world = await makeWorld(itemsSql, halving)
  await withRole(world.database, "pw", async (role) => {
    const url = world.database.urlAs(role, "pw")
    const none = await world.runAs(url, "2026-01-03T04:00Z")
    expect([none.exitCode, none.run.summary]).toEqual([2, expect.stringContaining("permission denied for table items")])
    await world.query(`grant select on items to ${role}`)
    const reader = await world.runAs(url, "2026-01-03T04:00Z")
    expect([reader.exitCode, reader.run.summary]).toEqual([
      2,
      expect.stringContaining("permission denied for table items"),
    ])
    await world.query(`grant update (value) on items to ${role}`)
    const noOps = await world.runAs(url, "2026-01-03T04:00Z")
    expect([noOps.exitCode, noOps.run.findings[0]?.detail]).toEqual([
      1,
      expect.stringContaining("this role may not make the schema ops: let its owner run: create schema"),
    ])
    const statements = /run: (create schema .*?): permission/.exec(noOps.run.findings[0]?.detail ?? "")?.[1] ?? ""
    await world.query(statements.replaceAll("<role>", role))
    const writer = await world.runAs(url, "2026-01-03T04:00Z")
    expect(writer.exitCode, writer.run.summary).toBe(0)
    expect(await world.values("select value from items order by id")).toEqual([0.25, 0.8, 0.4, null])
    await world.query("alter table items enable row level security")
    const blind = await world.runAs(url, "2026-01-04T04:00Z")
    expect([blind.exitCode, blind.run.summary]).toEqual([
      2,
      expect.stringContaining("row security would hide rows of public.items from this role"),
    ])
  })
})

it("leaves alone what has no finite value, time or half-life, and what is not of age", async () => {
  const world = await makeWorld(
    `create table kinds (id int primary key, days numeric); insert into kinds values (1, 1), (2, 0), (3, null), (4, 'NaN'), (5, -2), (6, 0.0000000001);
     create table items (id int primary key, value double precision, at timestamptz, kind int);
     insert into items values (1, 8, '2026-01-01', 1), (2, 'NaN', '2026-01-01', 1), (3, 'Infinity', '2026-01-01', 1), (4, '-Infinity', '2026-01-01', 1),
       (5, null, '2026-01-01', 1), (6, 8, null, 1), (7, 8, 'infinity', 1), (8, 8, '-infinity', 1), (9, 8, '2026-01-01', 2), (10, 8, '2026-01-01', 3),
       (11, 8, '2026-01-01', 4), (12, 8, '2026-01-01', 5), (13, 8, '2026-01-01', 99), (14, 8, '2026-01-01', null), (15, 8, '2030-01-01', 1),
       (16, 100, '2030-01-01', 1), (17, 8, '2026-01-01', 6), (18, -3, '2026-01-01', 1), (19, 8, '0001-01-01 BC', 1), (20, 1e-320, '2026-01-01', 1), (21, 0, '2026-01-01', 1)`,
    `{ name: "fading", table: "items", column: "value", since: "at", halfLife: { table: "kinds", column: "days", by: "kind" }, ceiling: 50 }`,
  )
  const run = await world.run("2026-01-04T04:00Z")
  expect(run.exitCode, run.run.summary).toBe(0)
  expect(run.run.findings[0]).toMatchObject({ facts: { considered: 21, leftAlone: 13, changed: 5 } })
  const changed = await world.query(
    "select id, value from items where xmin::text = (select xmin::text from items where id = 1) order by id",
  )
  expect(changed).toEqual([
    { id: 1, value: 1 },
    { id: 16, value: 50 },
    { id: 17, value: 0 },
    { id: 19, value: 0 },
    { id: 20, value: 0 },
  ])
})

it.each(["real", "double precision", "numeric"])(
  "comes to zero in a column of %s, and not to an error",
  async (type) => {
    const world = await makeWorld(
      `create table items (id int primary key, value ${type}, at date); insert into items values (1, 1e-37, '2020-01-01'), (2, 1e38, '2020-01-01')`,
      `{ name: "fading", table: "items", column: "value", since: "at", halfLife: "1 hour", every: "1 hour" }`,
    )
    const run = await world.run("2026-01-04T04:00Z")
    expect(run.exitCode, run.run.summary).toBe(0)
    expect((await world.values("select value::float8 from items order by id")).map(Number)).toEqual([0, 0])
  },
)

it("takes whole numbers and cents where each step loses what they can hold", async () => {
  const world = await makeWorld(
    `create domain cents as numeric(8,2); create table items (id int primary key, points smallint, money cents, at timestamptz);
     insert into items values (1, 10, 1.00, '2026-01-01'), (2, 3, 0.25, '2026-01-01')`,
    `{ name: "points", table: "items", column: "points", since: "at", linear: { amount: 14, every: "1 week" } },
     { name: "money", table: "items", column: "money", since: "at", linear: { amount: 0.1, every: "1 day" } }`,
  )
  for (const day of ["02", "03", "04"]) expect((await world.run(`2026-01-${day}T04:00Z`)).exitCode).toBe(0)
  expect(await world.query("select points, money from items order by id")).toEqual([
    { points: 4, money: "0.70" },
    { points: 0, money: "0.00" },
  ])
})

it("counts a day that has 23 or 25 hours as one, by the clock of its time zone", async () => {
  const world = await makeWorld(
    `create table items (id int primary key, value double precision, at timestamptz);
     insert into items values (1, 1, '2026-03-28T00:00Z'), (2, 1, '2026-03-28T00:01Z'), (3, 1, '2026-03-29T23:00Z'), (4, 1, '2026-03-30T00:00Z')`,
    `{ name: "fading", table: "items", column: "value", since: "at", halfLife: "1 day", timezone: "Europe/London" }`,
  )
  // Midnight of the 30th in London is 23:00 of the 29th in UTC: the day before had 23 hours.
  const early = await world.run("2026-03-29T22:59Z", "--dry-run")
  expect(early.run.findings[0]).toMatchObject({ facts: { through: "2026-03-29T00:00:00.000Z" } })
  const run = await world.run("2026-03-29T23:00Z")
  expect(run.run.findings[0]).toMatchObject({ facts: { through: "2026-03-29T23:00:00.000Z" } })
  expect(await world.values("select value from items order by id")).toEqual([0.25, 0.5, 1, 1])
  const next = await world.run("2026-03-30T23:30Z")
  expect(next.run.findings[0]).toMatchObject({ facts: { steps: 1 } })
  expect(await world.values("select value from items order by id")).toEqual([0.125, 0.25, 0.5, 1])
})
