import { describe, expect, it } from "vitest"
import { judgeMaintenance } from "../../../lib/dbcare/judge-maintenance.ts"
import { wantedKinds } from "../../../lib/dbcare/plan-maintenance.ts"
import { careFor } from "../../support/maintenance.ts"
import { type TestDatabase, withDatabase, withRole } from "../../support/postgres.ts"

const kinds = wantedKinds(["analyze", "vacuum", "reindex", "validate"], undefined)

/** A table in which everything is due, of whoever makes it. */
const neglected = (name: string) => `
  create table ${name} (id int, kind text) with (autovacuum_enabled = false);
  create index ${name}_id on ${name} (id);
  insert into ${name} select i, 'kind' from generate_series(1, 40000) i;
  delete from ${name} where id % 10 <> 0;
  alter table ${name} add constraint ${name}_known check (id > 0) not valid;`

const everything = ["analyze", "reindex", "vacuum", "validate"]

describe("the maintenance", () => {
  it("as superuser does all that is due", () =>
    withDatabase(neglected("mine"), async (database) => {
      const { done, rights, ...rest } = await maintainAs(database, database.url)
      expect([done, rest.failed]).toEqual([everything, []])
      expect(rights).toMatchObject({ outcome: "ok" })
    }))

  it("as owner with pg_monitor and without superuser does all to its own tables, and tells in one warning what it may not", () =>
    withDatabase("", (database) =>
      withRole(database, "word", async (role) => {
        await database.query(`grant pg_monitor to ${role}; grant create, usage on schema public to ${role}`)
        await database.query(`set role ${role}; ${neglected("mine")}`)
        await database.query(neglected("foreign_made"))

        const { done, failed, rights, findings } = await maintainAs(database, database.urlAs(role, "word"))

        expect([done, failed]).toEqual([everything, []])
        expect(rights?.outcome).toBe("warn")
        expect(rights?.detail).toMatch(
          /may not do 4 things that are due .*not owner of public\.foreign_made.*grant <owner> to/,
        )
        expect(findings.filter(({ outcome }) => outcome !== "ok").map(({ subject }) => subject)).toEqual([
          "database/main/maintenance/rights",
        ])
        expect(await cared(database)).toEqual({ foreign_made: false, mine: true })
      }),
    ))

  it("as a plain reader changes nothing and says so once, without an error for each table", () =>
    withDatabase(`${neglected("a")} ${neglected("b")}`, (database) =>
      withRole(database, "word", async (role) => {
        await database.query(`grant select on all tables in schema public to ${role}`)

        const { done, failed, rights, findings } = await maintainAs(database, database.urlAs(role, "word"))

        expect([done, failed]).toEqual([[], []])
        expect(rights).toMatchObject({ outcome: "warn", facts: { missing: 8 } })
        expect(findings.filter(({ outcome }) => outcome === "warn")).toHaveLength(1)
        expect(await cared(database)).toEqual({ a: false, b: false })
      }),
    ))

  it("as owner of the database may vacuum and analyse what others own, and no more", () =>
    withDatabase(neglected("foreign_made"), (database) =>
      withRole(database, "word", async (role) => {
        await database.query(`alter database ${database.name} owner to ${role}`)
        try {
          const { done, rights } = await maintainAs(database, database.urlAs(role, "word"))
          expect(done).toEqual(["analyze", "vacuum"])
          expect(rights?.facts).toEqual({ missing: 2 })
        } finally {
          await database.query(`alter database ${database.name} owner to current_user`)
        }
      }),
    ))

  it("validates a foreign key as its owner although it may not read the other table, and tells when rows break it", () =>
    withDatabase(`create table users (id int primary key); insert into users values (1)`, (database) =>
      withRole(database, "word", async (role) => {
        await database.query(`grant create, usage on schema public to ${role}; grant references on users to ${role};
            set role ${role}; create table good (u int); insert into good values (1); create table bad (u int); insert into bad values (2);
            alter table good add constraint good_u foreign key (u) references users not valid; alter table bad add constraint bad_u foreign key (u) references users not valid`)

        const url = database.urlAs(role, "word")
        const { outcomes } = await careFor(database, { url, wishes: { kinds: ["validate"] } })

        const ends = Object.fromEntries(outcomes.map(({ action, end, detail }) => [action.target, [end, detail]]))
        expect(ends).toMatchObject({
          "public.good.good_u": ["done", "validated: all rows keep it"],
          "public.bad.bad_u": ["violated", expect.stringMatching(/^rows break it, so it was not validated/)],
        })
      }),
    ))

  it("is not cut short by a limit that the provider gave the role", () =>
    withDatabase(neglected("mine"), (database) =>
      withRole(database, "word", async (role) => {
        await database.query(`alter table mine owner to ${role}; alter role ${role} set statement_timeout = '15ms'`) // enough to connect
        const url = database.urlAs(role, "word")
        const { done } = await maintainAs(database, url)
        expect(done).toEqual(everything)
      }),
    ))
})

async function maintainAs(database: TestDatabase, url: string) {
  const maintenance = await careFor(database, { url })
  const findings = judgeMaintenance("main", maintenance, kinds)
  const { outcomes } = maintenance
  return {
    findings,
    rights: findings.find(({ subject }) => subject.endsWith("/rights")),
    done: outcomes.flatMap(({ end, action }) => (end === "done" ? [action.action] : [])).sort(),
    failed: outcomes.filter(({ end }) => end !== "done"),
  }
}

/** Which tables the statistics show somebody vacuumed and analysed. */
async function cared(database: TestDatabase): Promise<Record<string, boolean>> {
  const rows = await database.query(
    "select relname as name, last_vacuum is not null and last_analyze is not null as cared from pg_stat_user_tables order by 1",
  )
  return Object.fromEntries(rows.map(({ name, cared }) => [String(name), cared === true]))
}
