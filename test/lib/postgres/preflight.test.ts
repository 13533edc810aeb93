import { expect, it } from "vitest"
import { parsePostgresUrl } from "../../../lib/postgres/address.ts"
import type { Exclusion } from "../../../lib/postgres/catalogue.ts"
import { withClient } from "../../../lib/postgres/connect.ts"
import { listUnreadable, renderUnreadable } from "../../../lib/postgres/preflight.ts"
import { administer, type TestDatabase, withDatabase, withRole } from "../../support/postgres.ts"

const nothing: Exclusion = { schemas: [], tables: [] }

function unreadable(database: TestDatabase, role: string, excluded = nothing) {
  const address = parsePostgresUrl(database.urlAs(role, "pw"), "DATABASE_URL")
  return withClient(address, { applicationName: "test" }, (client) => listUnreadable(client, excluded))
}

const schema = `
  create table readable (a int);
  create table "Not readable" (id serial primary key);
  create schema closed;
  create table closed.things (a int);
  create table tenants (a int);
  alter table tenants enable row level security;
  create table parted (a int) partition by range (a);
  create table parted_1 partition of parted for values from (0) to (10);
  create sequence tickets;
  create view looks as select 1;
  create materialized view stored as select 1 as a;
  select lo_from_bytea(4711, 'x'), lo_from_bytea(4712, 'y');
  grant select on large object 4712 to public;
`

it("lists everything that a role cannot read, at once, and how to let it", async () => {
  await withDatabase(schema, (database) =>
    withRole(database, "pw", async (role) => {
      await database.query(`grant select on readable, tenants, parted, closed.things to ${role}`)
      const found = await unreadable(database, role)
      expect(found).toEqual([
        { kind: "large object", name: "4711", reason: "no privilege" },
        { kind: "schema", name: "closed", reason: "no privilege" },
        { kind: "sequence", name: 'public."Not readable_id_seq"', reason: "no privilege" },
        { kind: "sequence", name: "public.tickets", reason: "no privilege" },
        { kind: "table", name: 'public."Not readable"', reason: "no privilege" },
        { kind: "table", name: "public.parted_1", reason: "no privilege" },
        { kind: "table", name: "public.tenants", reason: "row security" },
      ])
      expect(renderUnreadable(found, role)).toBe(
        `role ${role} cannot read schema closed, sequence public."Not readable_id_seq", sequence public.tickets, table public."Not readable", ` +
          `table public.parted_1: run "grant pg_read_all_data to ${role}" (PostgreSQL 14 and later); ` +
          `row security would hide rows of table public.tenants: run "alter role ${role} bypassrls", or back up as the owner; ` +
          "cannot read large object 4711: grant select on them, or back up as their owner; or leave them out with backup.exclude",
      )
    }),
  )
})

it("does not ask for what is left out, with the sequences that belong to it", async () => {
  await withDatabase(schema, (database) =>
    withRole(database, "pw", async (role) => {
      await database.query(`grant select on readable, parted, parted_1, tickets to ${role}`)
      const found = await unreadable(database, role, {
        schemas: ["closed"],
        tables: ["public.Not readable", "public.tenants"],
      })
      expect(found.map((one) => one.kind)).toEqual(["large object"])
    }),
  )
})

it("is content once the advised statements were run", async () => {
  await withDatabase(schema, (database) =>
    withRole(database, "pw", async (role) => {
      await database.query(`grant select on large object 4711 to ${role}`)
      await administer(`grant pg_read_all_data to ${role}`)
      await administer(`alter role ${role} bypassrls`)
      const found = await unreadable(database, role)
      expect(found).toEqual([])
      expect(renderUnreadable(found, role)).toBeUndefined()
    }),
  )
})

it("knows whom row security binds: not the owner, unless it is forced on him, and never a superuser", async () => {
  await withDatabase(schema, (database) =>
    withRole(database, "pw", async (role) => {
      await administer(`grant pg_read_all_data to ${role}`)
      await database.query(`grant select on large object 4711 to ${role}; alter table tenants owner to ${role}`)
      expect(await unreadable(database, role)).toEqual([])
      await database.query("alter table tenants force row level security")
      expect(await unreadable(database, role)).toEqual([
        { kind: "table", name: "public.tenants", reason: "row security" },
      ])
      const asSuperuser = await withClient(database.address, { applicationName: "test" }, (client) =>
        listUnreadable(client, nothing),
      )
      expect(asSuperuser).toEqual([])
    }),
  )
})

it("cuts a long list and says how much more there is", () => {
  const many = Array.from({ length: 45 }, (_, index) => ({
    kind: "table" as const,
    name: `t${index}`,
    reason: "no privilege" as const,
  }))
  expect(renderUnreadable(many, "r")).toContain("table t29 and 15 more: run")
})
