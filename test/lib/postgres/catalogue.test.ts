import { expect, inject, it } from "vitest"
import { programEnvironment } from "../../../lib/postgres/address.ts"
import { type Exclusion, listTables } from "../../../lib/postgres/catalogue.ts"
import { withClient } from "../../../lib/postgres/connect.ts"
import { findPrograms } from "../../../lib/postgres/programs.ts"
import { runProgram } from "../../../lib/system/program.ts"
import { type TestDatabase, withDatabase } from "../../support/postgres.ts"

const schema = `
  create table plain (id serial primary key, body text);
  insert into plain (body) select 'x' from generate_series(1, 50);
  analyze plain;
  create unlogged table "Un Logged" (a int);
  create table base (a int);
  create table child (b int) inherits (base);
  create table parted (a int) partition by range (a);
  create table parted_1 partition of parted for values from (0) to (10) partition by list (a);
  create table "parted_1_ä" partition of parted_1 for values in (1);
  create view looks as select 1 as a;
  create materialized view full_view as select 1 as a;
  create materialized view empty_view as select 1 as a with no data;
  create schema "Other";
  create table "Other"."has.dot" (a int);
  create table "Other".skipped (id serial);
  create schema gone;
  create table gone.table_1 (a int);
  create foreign data wrapper nowhere;
  create server far foreign data wrapper nowhere;
  create foreign table foreign_one (a int) server far;
  create extension pg_stat_statements;
`
const excluded: Exclusion = { schemas: ["gone"], tables: ["Other.skipped"] }

function tablesOf(database: TestDatabase, excluded: Exclusion) {
  return withClient(database.address, { applicationName: "test" }, async (client) => {
    await client.query("select set_config('search_path', '', false)")
    return listTables(client, excluded)
  })
}

it("lists what a dump has data of, in the order of the bytes of its names", async () => {
  await withDatabase(schema, async (database) => {
    await database.query("create temp table passing (a int)")
    const tables = await tablesOf(database, excluded)
    expect(tables.map(({ schema, name, kind, isPopulated }) => [`${schema}.${name}`, kind, isPopulated])).toEqual([
      ["Other.has.dot", "table", undefined],
      ["public.Un Logged", "table", undefined],
      ["public.base", "table", undefined],
      ["public.child", "table", undefined],
      ["public.empty_view", "materialized view", false],
      ["public.full_view", "materialized view", true],
      ["public.parted", "partitioned table", undefined],
      ["public.parted_1", "partitioned table", undefined],
      ["public.parted_1_ä", "table", undefined],
      ["public.plain", "table", undefined],
    ])
    expect(tables.find((table) => table.name === "plain")).toMatchObject({
      estimatedRows: 50,
      owner: "nightshift_test",
    })
    expect(tables.find((table) => table.name === "base")).not.toHaveProperty("estimatedRows")
  })
})

it("agrees with the tables that pg_dump writes data of", async () => {
  const { major, binDirectories } = inject("postgres")
  const { pg_dump, pg_restore } = await findPrograms(major, ["pg_dump", "pg_restore"], { binDirectories })
  await withDatabase(schema, async (database) => {
    const args = ["-Fc", "--exclude-schema=gone", '--exclude-table="Other".skipped', "-f", "/dev/stdout"]
    const listing = await runProgram("sh", ["-c", '"$@" | "$0" --list', pg_restore, pg_dump, ...args], {
      env: programEnvironment(database.address),
    })
    const dumped = [...listing.stdout.matchAll(/^\d+; \d+ (\d+) (?:TABLE DATA|MATERIALIZED VIEW DATA) /gm)].map(
      (match) => match[1],
    )
    const tables = await tablesOf(database, excluded)
    const withData = tables.filter((table) => table.kind === "table" || table.isPopulated)
    expect(withData.map((table) => table.oid).sort()).toEqual(dumped.sort())
  })
})

it("finds nothing in an empty database", async () => {
  await withDatabase("", async (database) => expect(await tablesOf(database, { schemas: [], tables: [] })).toEqual([]))
})
