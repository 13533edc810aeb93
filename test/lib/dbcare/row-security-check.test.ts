import { afterAll, beforeAll, describe, expect, inject, it } from "vitest"
import { judgeTable, rowSecurityCheck } from "../../../lib/dbcare/row-security-check.ts"
import type { PostgresAddress } from "../../../lib/postgres/address.ts"
import { withClient } from "../../../lib/postgres/connect.ts"
import { withScratchCluster } from "../../../lib/postgres/scratch-cluster.ts"
import { askDone, itemsOf } from "../../support/care.ts"

const quiet = () => undefined
const log = { debug: quiet, info: quiet, warn: quiet, error: quiet, progress: () => ({ at: quiet, done: quiet }) }

let address: PostgresAddress
let release: () => void
let closed: Promise<unknown>

beforeAll(async () => {
  // A server of its own: the roles of clients belong to the whole server.
  const { promise: done, resolve } = Promise.withResolvers<void>()
  release = resolve
  await new Promise<void>((ready, fail) => {
    const options = { ...inject("postgres"), signal: new AbortController().signal, log }
    closed = withScratchCluster(options, async (cluster) => {
      address = cluster.address("postgres")
      await query(
        "create role anon; create role authenticated; create role app; create role reader login; create role boss bypassrls",
      )
      ready()
      await done
    })
    closed.catch(fail)
  })
})

afterAll(async () => {
  release()
  await closed
})

async function query(sql: string): Promise<void> {
  await withClient(address, { applicationName: "tests" }, (client) => client.query(sql))
}

/** What is found in a schema of its own, which clients may use, as `outcome item`. */
async function found(sql: string): Promise<string[]> {
  await query(`drop schema public cascade; create schema public; grant usage on schema public to anon, authenticated, app;
    create table t (id int primary key, owner text); ${sql}`)
  return (await itemsOf(rowSecurityCheck, address)).map(({ item, outcome }) => `${outcome} ${item}`)
}

describe("row security", () => {
  it("is missing on tables that clients may read or change, through whatever grant", async () => {
    expect(await found("")).toEqual([])
    expect(await found("grant all on t to app")).toEqual([])
    expect(await found("grant select on t to anon")).toEqual(["warn public.t"])
    expect(await found("grant select (id) on t to anon")).toEqual(["warn public.t"])
    expect(await found("grant select on t to public")).toEqual(["warn public.t"])
    expect(await found("grant update (owner) on t to authenticated")).toEqual(["fail public.t"])
    expect(await found("grant truncate on t to anon")).toEqual(["fail public.t"])
    expect(await found("grant select on t to app; grant app to anon")).toEqual(["warn public.t"])
    await query("revoke app from anon")
    expect(await found("grant all on t to anon; revoke usage on schema public from anon, authenticated")).toEqual([])
    expect(
      await found("grant all on t to anon; alter table t enable row level security; create policy p on t using (true)"),
    ).toEqual([])
  })

  it("does nothing while it is off, and lets nobody in without a policy", async () => {
    expect(await found("create policy p on t using (true)")).toEqual(["warn public.t"])
    expect(await found("create policy p on t using (true); grant select on t to anon")).toEqual(["fail public.t"])
    expect(await found("alter table t enable row level security")).toEqual([])
    expect(await found("alter table t enable row level security; grant select on t to anon")).toEqual(["warn public.t"])
  })

  it("does not reach through a view that reads as somebody to whom it does not apply", async () => {
    const guarded =
      "alter table t enable row level security; create policy p on t to authenticated using (owner = current_user);"
    const view = `${guarded} alter table t owner to app; create view v as select * from t; grant select on v to authenticated;`
    expect(await found(view)).toEqual(["warn public.v"])
    expect(await found(`${view} alter view v owner to app`)).toEqual(["warn public.v"])
    expect(await found(`${view} alter view v owner to boss`)).toEqual(["warn public.v"])
    expect(await found(`${view} alter view v owner to app; alter table t force row level security`)).toEqual([])
    expect(await found(`${view} alter view v owner to reader`)).toEqual([])
    expect(await found(`${view} alter view v set (security_invoker = true)`)).toEqual([])
    expect(await found(`${view} grant update on v to authenticated`)).toEqual(["fail public.v"])
    const nested = `${guarded} create schema hidden; create view hidden.h as select * from t;
      create view v with (security_invoker) as select * from hidden.h; create view w as select * from hidden.h; grant select on v, w to anon`
    expect(await found(nested)).toEqual(["warn public.w"])
    await query("drop schema hidden cascade")
  })

  it("does not hold in a materialized view, nor for a function without a search path", async () => {
    expect(await found("create materialized view m as select * from t; grant select on m to anon")).toEqual([
      "warn public.m",
    ])
    const definer = `create function "f "" x"(a int, b text default '') returns int language sql security definer`
    expect(await found(`${definer} as 'select 1'`)).toEqual(['warn public.f " x(a integer, b text)'])
    expect(await found(`${definer} set search_path = '' as 'select 1'`)).toEqual([])
    expect(await found("create procedure p() language sql security definer as 'select 1'")).toEqual(["warn public.p()"])
  })

  it("is mended, and unmended, by the statements of each remedy", async () => {
    const sql = `grant select on t to anon; create table "Ü ""x" (id int); create policy p on "Ü ""x" using (true);
      create table n (id int); alter table n enable row level security; grant select on n to anon;
      create table g (id int); alter table g enable row level security; create policy q on g using (id > 0);
      create view "V ""v" as select * from g; grant select on "V ""v" to anon;
      create function f(a int) returns int language sql security definer as 'select 1';
      create procedure p() language sql security definer as 'select 1'`
    const before = await found(sql)
    expect(before).toHaveLength(6)
    const items = await itemsOf(rowSecurityCheck, address)
    for (const { remedy } of items) for (const statement of remedy?.run ?? []) await query(statement)
    // With row security and without a policy, the first one is still to be thought about.
    expect((await itemsOf(rowSecurityCheck, address)).map(({ item }) => item)).toEqual(["public.t"])
    for (const { remedy } of items) for (const statement of remedy?.undo ?? []) await query(statement)
    expect((await itemsOf(rowSecurityCheck, address)).map(({ item, outcome }) => `${outcome} ${item}`)).toEqual(before)
  })

  it("is seen by a role that may nothing as by a superuser", async () => {
    await found("grant all on t to anon; create view v as select * from t; grant select on v to anon")
    const asReader = await itemsOf(rowSecurityCheck, { ...address, user: "reader" })
    expect(asReader).toEqual(await itemsOf(rowSecurityCheck, address))
    expect(asReader).toHaveLength(1)
  })

  it("is asked of the schemas that are exposed, and one that is not there is named", async () => {
    await found("grant all on t to anon")
    const result = await askDone(rowSecurityCheck, address, { exposedSchemas: ["api"] })
    expect(result).toMatchObject({ items: [], notes: ["there is no schema api: correct care.exposedSchemas"] })
  })

  it("missing on what clients may write is a failure, on what they may read a warning", () => {
    const table = {
      schema: "s",
      name: "t",
      kind: "r",
      isExposedSchema: true,
      hasRowSecurity: false,
      policies: 0,
      roles: ["anon"],
    } as const
    const judge = (mayRead: boolean, mayWrite: boolean) =>
      judgeTable({ ...table, roles: ["anon"], mayRead, mayWrite }).map(({ outcome }) => outcome)
    expect([judge(false, false), judge(true, false), judge(true, true)]).toEqual([[], ["warn"], ["fail"]])
  })
})
