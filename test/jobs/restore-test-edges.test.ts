import { expect, it } from "vitest"
import { setup } from "../support/night.ts"
import { backUp, prove, troubles } from "../support/proven.ts"

it("passes a large object whose grants were given and taken back: a dump holds no others than the usual ones", async () => {
  const night = await setup({
    sql: "select lo_from_bytea(7, 'x'); grant select on large object 7 to public; revoke select on large object 7 from public",
  })
  const { receipt } = await prove(night)
  expect(troubles(receipt)).toEqual({})
  expect(receipt.verdict).toBe("passed")
})

it("passes a database with an index that was never finished: no dump holds one", async () => {
  const night = await setup({ sql: "create table t (a int); insert into t values (1), (1)" })
  await night.database.query("create unique index concurrently twice on t (a)").catch(() => undefined)
  const { receipt } = await prove(night)
  expect(troubles(receipt)).toEqual({})
  expect(receipt.verdict).toBe("passed")
})

it("keeps what rows hold out of what it says of a restore that failed", async () => {
  const night = await setup({
    sql: `create table later (a int); insert into later values (1); create table early (s text);
      create function is_later() returns boolean language sql as 'select exists (select from public.later)';
      alter table early add check (is_later()), add check (s <> ''); insert into early values (E'rowtext\\nrowtext')`,
  })
  const { receipt, test } = await prove(night)
  expect(receipt.levels.restore.differences.join()).toMatch(/COPY failed for table "early": ERROR: .*early_check/)
  expect(JSON.stringify([receipt, test.run, test.stderr])).not.toContain("rowtext")
  expect(receipt.verdict).toBe("failed")
})

it("restores the head of a large archive first where stand-ins need it, and names every error of the rest", async () => {
  const night = await setup({
    sql: `create schema app; create schema out; create table out.owners (id int primary key); create domain app.short as text check (length(value) < 9);
      create table app.later (a int); create function app.is_full() returns boolean language sql as 'select exists (select from app.later)';
      create table app.big (body text); alter table app.big alter body set storage external;
      insert into app.big select (select string_agg(md5(i * 1000 + k || ''), '') from generate_series(1, 1000) k) from generate_series(1, 400) i;
      create view app.owners as select * from out.owners; insert into app.later values (1);
      create table app.early (a int); alter table app.early add check (app.is_full()); insert into app.early values (1);
      create table app.earlier (a int); alter table app.earlier add check (app.is_full()); insert into app.earlier values (1)`,
    backup: 'exclude: { schemas: ["out"] }',
  })
  const { receipt } = await prove(night)
  expect(receipt.levels.archive.outcome).toBe("passed")
  const { restore } = troubles(receipt)
  expect(restore?.join()).toMatch(/COPY failed for table "earlier".*/)
  expect(restore?.join()).toMatch(/COPY failed for table "early".*/)
  expect(restore).toContain("table out.owners: a stand-in, the backup excludes the real one")
})

it("leaves a table out, and does not fail the backup, when the time is up on a server that speaks another language", async () => {
  const night = await setup({
    sql: `create function slow() returns int language plpgsql as $$ begin perform pg_sleep(20); return 1;
        exception when query_canceled then raise exception 'storniere Anfrage wegen Zeitüberschreitung der Anfrage' using errcode = '57014'; end $$;
      create materialized view v as select slow() with no data; update pg_class set relispopulated = true where relname = 'v'`,
    backup: 'proofTimeLimit: "1 second"',
  })
  const { run, exitCode } = await night.run("backup", "2026-03-01T03:17:00Z")
  expect(run.findings.map(({ detail }) => detail).join()).toMatch(/not reached within 1.0 s: public.v/)
  expect(exitCode).toBe(0)
})

it("fails when the newest set is from the future: its age would say nothing for as long", async () => {
  const night = await setup({ sql: "create table t ()" })
  await backUp(night, "2027-03-01T03:17:00Z")
  const test = await night.run("restore-test", "2026-03-01T04:17:00Z")
  expect(test.run.findings[0]?.detail).toMatch(/from the future/)
  expect(test.exitCode).toBe(1)
})
