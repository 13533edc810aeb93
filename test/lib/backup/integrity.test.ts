import { expect, inject, it } from "vitest"
import { checkIntegrity } from "../../../lib/backup/integrity.ts"
import type { Level } from "../../../lib/backup/receipt.ts"
import { withClient } from "../../../lib/postgres/connect.ts"
import { findPrograms } from "../../../lib/postgres/programs.ts"
import { withDatabase } from "../../support/postgres.ts"

function check(sql: string): Promise<Level> {
  const { major, binDirectories } = inject("postgres")
  return withDatabase(sql, async ({ address }) => {
    const { pg_amcheck } = await findPrograms(major, ["pg_amcheck"], { binDirectories })
    const { signal } = new AbortController()
    return withClient(address, { applicationName: "tests" }, (client) =>
      checkIntegrity(client, address, pg_amcheck, signal),
    )
  })
}

it("counts the rows of every foreign key that have no parent, in partitions and over several columns too", async () => {
  const level = await check(`
    create table a (x int, y text, primary key (x, y)); insert into a values (1, 'one');
    create table "B b" (x int, y text, foreign key (x, y) references a); create table c (x int, y text, foreign key (x, y) references a match full);
    create table p (x int, y text, foreign key (x, y) references a) partition by range (x); create table p1 partition of p for values from (0) to (10);
    create table fine (x int, y text); alter table fine add foreign key (x, y) references a not valid;
    set session_replication_role = replica;
    insert into "B b" values (1, 'one'), (1, 'two'), (2, 'one'), (null, 'two'); insert into c values (null, null), (null, 'one'), (1, 'one');
    insert into p values (1, 'one'), (3, 'x'); insert into fine values (7, 'seven')`)
  expect(level).toMatchObject({
    outcome: "failed",
    differences: [
      '"B b": 2 rows break the foreign key B b_x_y_fkey to a',
      "c: 1 rows break the foreign key c_x_y_fkey to a",
      "p: 1 rows break the foreign key p_x_y_fkey to a",
    ],
  })
})

it("asks of a foreign key no more than it promises: the rows of inheriting tables are not its own", async () => {
  const level = await check(`
    create table a (x int primary key); create table a2 () inherits (a); insert into a values (1); insert into a2 values (2);
    create table b (x int references a); create table b2 () inherits (b); insert into b values (1); insert into b2 values (99)`)
  expect(level).toMatchObject({ outcome: "passed", detail: expect.stringContaining("1 foreign keys re-checked") })
  const broken = await check(`
    create table a (x int primary key); create table a2 () inherits (a); insert into a2 values (2); create table b (x int references a);
    set session_replication_role = replica; insert into b values (2)`)
  expect(broken.differences).toEqual(["b: 1 rows break the foreign key b_x_fkey to a"])
})

it("finds an index that does not lead to all rows, past event triggers that forbid everything", async () => {
  const level = await check(`
    create function shifted(int) returns int language sql immutable as 'select $1'; create table t (x int); insert into t select generate_series(1, 500) x;
    create index broken on t (shifted(x)); create or replace function shifted(int) returns int language sql immutable as 'select $1 * -1';
    create function forbid() returns event_trigger language plpgsql as $$ begin raise 'no changes here'; end $$;
    create event trigger forbidden on ddl_command_start execute function forbid(); alter event trigger forbidden enable always`)
  expect(level.outcome).toBe("failed")
  expect(level.differences).toEqual([
    "pg_amcheck ended with exit code 2",
    expect.stringMatching(/^btree index ".*\.public\.broken": ERROR: .*lacks matching index tuple/),
  ])
})
