import pg from "pg"
import { describe, expect, it } from "vitest"
import { bloatedSql, careFor, endsOf, planFor, untilRows } from "../../support/maintenance.ts"
import { withDatabase } from "../../support/postgres.ts"
import { withReplica } from "../../support/replica.ts"

describe("what is due", () => {
  it("is planned as exact statements in their order, and nothing is changed by planning", () =>
    withDatabase(
      `${bloatedSql}
       alter table events add constraint known check (id > 0) not valid;`,
      async (database) => {
        const { plan, outcomes } = await planFor(database)

        expect(plan.actions.map(({ statement }) => statement)).toEqual([
          'ALTER TABLE "public"."events" VALIDATE CONSTRAINT "known"',
          'REINDEX INDEX CONCURRENTLY "public"."events_id"',
          'VACUUM "public"."events"',
          'ANALYZE "public"."events"',
        ])
        expect(plan.actions.map(({ reason }) => reason)).toEqual([
          "check was added NOT VALID",
          expect.stringMatching(/^8\d % of its 1\.\d MB is dead space \(estimated\)$/),
          "54,000 rows dead, autovacuum acts at 1,250",
          "never analysed",
        ])
        expect([plan.notDone, outcomes]).toEqual([[], []])
        expect(await database.query("select convalidated from pg_constraint where conname = 'known'")).toEqual([
          { convalidated: false },
        ])
      },
    ))

  it("is done and verified, and the second run finds nothing to do", () =>
    withDatabase(
      `${bloatedSql}
       alter table events add constraint known check (id > 0) not valid;`,
      async (database) => {
        const first = await careFor(database)

        expect(first.outcomes.map(({ end, detail }) => [end, detail])).toEqual([
          ["done", "validated: all rows keep it"],
          ["done", expect.stringMatching(/^rebuilt and valid: 1\.\d MB before, 1\d\d kB after$/)],
          ["done", expect.stringMatching(/^vacuumed: 54,000 dead rows before, 0 after$/)],
          ["done", "analysed: about 6,000 rows"],
        ])
        const facts = `select pg_relation_size('events_id') < 300000 as small, (select indisvalid from pg_index where indexrelid = 'events_id'::regclass) as valid,
          (select convalidated from pg_constraint where conname = 'known') as validated,
          (select last_vacuum is not null and last_analyze is not null from pg_stat_user_tables where relname = 'events') as cared,
          (select count(*)::int from events) as rows`
        expect(await database.query(facts)).toEqual([
          { small: true, valid: true, validated: true, cared: true, rows: 6000 },
        ])

        const second = await careFor(database)
        expect([second.outcomes, second.left, second.plan.notDone]).toEqual([[], [], []])
      },
    ))

  it("is confirmed by pgstatindex where that is there, and an index that is large for good reason is left alone", () =>
    withDatabase(
      `create schema tools; create extension pgstattuple schema tools; ${bloatedSql}
       create table words (word text) with (autovacuum_enabled = false);
       create index words_word on words (word);
       insert into words select repeat(md5(i::text), 3) from generate_series(1, 5000) i; analyze words;
       update pg_statistic set stawidth = 1 where starelid = 'words'::regclass;`,
      async (database) => {
        const { plan } = await planFor(database, { wishes: { kinds: ["reindex"] } })
        expect(plan.actions.map(({ target, reason }) => [target, reason])).toEqual([
          ["public.events_id", expect.stringMatching(/^\d\d % .* \(measured\)$/)],
        ])

        await database.query("drop extension pgstattuple")
        const estimated = await planFor(database, { wishes: { kinds: ["reindex"] } })
        expect(estimated.plan.actions.map(({ target }) => target).sort()).toEqual([
          "public.events_id",
          "public.words_word",
        ])
      },
    ))

  it("is only of the kind and the table that were asked for, whatever they are called", () =>
    withDatabase(
      `create schema "My Schema"; create table "My Schema"."a""b; drop" (id int) with (autovacuum_enabled = false);
       insert into "My Schema"."a""b; drop" select generate_series(1, 2000); delete from "My Schema"."a""b; drop";
       create table other (id int) with (autovacuum_enabled = false); insert into other values (1);`,
      async (database) => {
        const wishes = { kinds: ["vacuum" as const], table: 'My Schema.a"b; drop' }
        const { outcomes } = await careFor(database, { wishes })
        expect(outcomes.map(({ action, end }) => [action.statement, end])).toEqual([
          ['VACUUM "My Schema"."a""b; drop"', "done"],
        ])
        await expect(careFor(database, { wishes: { table: "public.othr" } })).rejects.toThrow(
          "--table public.othr: main has no such table: did you mean public.other?",
        )
      },
    ))

  it("includes a partitioned table, which autovacuum never analyses", () =>
    withDatabase(
      `create table logs (at date) partition by range (at); create table logs_1 partition of logs for values from ('2026-01-01') to ('2027-01-01');
       insert into logs select '2026-02-01' from generate_series(1, 100)`,
      async (database) => {
        await database.query("analyze logs_1")
        const { outcomes } = await careFor(database, { wishes: { kinds: ["analyze"] } })
        expect(outcomes.map(({ action, end }) => [action.target, end])).toEqual([["public.logs", "done"]])
        expect((await careFor(database, { wishes: { kinds: ["analyze"] } })).outcomes).toEqual([])
      },
    ))
})

describe("validating", () => {
  it("counts the rows that break a constraint, shows how to see them and leaves it as it is", () =>
    withDatabase(
      `create table users (id int primary key); insert into users values (1);
       create table notes (id int, user_id int, name text); insert into notes values (1, 1, 'secret-ada'), (2, 7, 'secret-bob'), (3, 8, 'x'), (4, null, 'y');
       alter table notes add constraint of_user foreign key (user_id) references users not valid;
       alter table notes add constraint long_name check (length(name) > 1) not valid;
       alter table notes add constraint has_id check (id > 0) not valid;`,
      async (database) => {
        const { outcomes } = await careFor(database, { wishes: { kinds: ["validate"] } })

        const byTarget = Object.fromEntries(outcomes.map(({ action, ...rest }) => [action.target, rest]))
        expect(byTarget["public.notes.has_id"]?.end).toBe("done")
        expect(byTarget["public.notes.of_user"]).toMatchObject({
          end: "violated",
          detail: expect.stringMatching(/^2 rows break it, so it was not validated: .*; this shows them: select r\.\*/),
        })
        expect(byTarget["public.notes.long_name"]?.detail).toMatch(/^2 rows break it/)
        expect(JSON.stringify(outcomes)).not.toContain("secret")
        const show = byTarget["public.notes.of_user"]?.detail.split("shows them: ")[1] ?? ""
        expect((await database.query(show)).map(({ id }) => id)).toEqual([2, 3])
        expect(await database.query("select conname from pg_constraint where not convalidated order by 1")).toEqual([
          { conname: "long_name" },
          { conname: "of_user" },
        ])
      },
    ))

  it("stops counting at a thousand, and knows what MATCH FULL refuses", () =>
    withDatabase(
      `create table pairs (a int, b int, primary key (a, b)); insert into pairs values (1, 1);
       create table refs (a int, b int); insert into refs select 5, 5 from generate_series(1, 1500); 
       create table halves (a int, b int); insert into halves values (1, null), (1, 1), (null, null);
       alter table refs add constraint to_pair foreign key (a, b) references pairs not valid;
       alter table halves add constraint full_pair foreign key (a, b) references pairs match full not valid;`,
      async (database) => {
        const { outcomes } = await careFor(database, { wishes: { kinds: ["validate"] } })
        expect(Object.fromEntries(outcomes.map(({ action, detail }) => [action.target, detail.slice(0, 30)]))).toEqual({
          "public.refs.to_pair": expect.stringContaining("more than 1,000 rows break it"),
          "public.halves.full_pair": expect.stringContaining("1 row breaks it"),
        })
      },
    ))
})

describe("rebuilding an index", () => {
  it("makes an invalid index valid, and says that one cannot be because of duplicates, leaving nothing behind", () =>
    withDatabase(
      `create table users (id int, mail text) with (autovacuum_enabled = false);
       insert into users values (1, 'ada@secret'), (2, 'ada@secret'); analyze users`,
      async (database) => {
        await expect(database.query("create unique index concurrently users_mail on users (mail)")).rejects.toThrow()
        const broken = await careFor(database, { wishes: { kinds: ["reindex"] } })
        expect(broken.outcomes.map(({ end, detail }) => [end, detail])).toEqual([
          ["violated", expect.stringMatching(/^its rows hold duplicates/)],
        ])
        expect(JSON.stringify(broken)).not.toContain("secret")
        expect(await indexes(database, "users")).toEqual({ users_mail: false })

        await database.query("delete from users where id = 2")
        const { outcomes } = await careFor(database, { wishes: { kinds: ["reindex"] } })
        expect(outcomes.map(({ end }) => end)).toEqual(["done"])
        expect(await indexes(database, "users")).toEqual({ users_mail: true })
      },
    ))

  it("waits for nobody who is there for long: a running pg_dump, and the lock of a table names its holder", () =>
    withDatabase(bloatedSql, async (database) => {
      const dump = new pg.Client({ connectionString: database.url, application_name: "pg_dump" })
      await dump.connect()
      await dump.query("begin; select count(*) from events")
      try {
        const { outcomes } = await careFor(database, { wishes: { kinds: ["reindex"] } })
        expect(outcomes.map(({ end, detail }) => [end, detail])).toEqual([
          [
            "blocked",
            expect.stringMatching(/^a rebuild would wait for pg_dump \(pid \d+, user \w+, idle in transaction/),
          ],
        ])
      } finally {
        await dump.end()
      }
    }))

  it("says of an error that may hold a value of a row no more than its code", () =>
    withDatabase(
      `create table words (word text) with (autovacuum_enabled = false); create index words_number on words ((word::int));
       update pg_index set indisvalid = false, indisready = false where indexrelid = 'words_number'::regclass`,
      async (database) => {
        await database.query("insert into words values ('secret-ada')")
        const { outcomes } = await careFor(database, { wishes: { kinds: ["reindex"] } })
        expect(outcomes.map(({ end, detail }) => [end, detail])).toEqual([
          ["failed", expect.stringMatching(/^the server answered with error 22P02; what it left is dropped: /)],
        ])
        expect(JSON.stringify(outcomes)).not.toContain("secret")
        expect(await indexes(database, "words")).toEqual({ words_number: false })
      },
    ))

  it("that must wait for a writer names it, goes on with the rest, and what it left is swept by the next run", () =>
    withDatabase(bloatedSql, async (database) => {
      const other = new pg.Client({ connectionString: database.url, application_name: "the app" })
      await other.connect()
      await other.query("begin; update events set kind = 'x' where id = 10")
      try {
        const { outcomes } = await careFor(database, { care: { actionTimeLimit: "2s" } })
        expect(outcomes.map(({ action, end }) => [action.action, end])).toEqual([
          ["reindex", "blocked"],
          ["vacuum", "done"],
          ["analyze", "done"],
        ])
        expect(outcomes[0]?.detail).toMatch(
          /^no lock was to be had in time: it is held by the app \(pid .*; an invalid index that it left, .* is dropped by the next run$/,
        )
      } finally {
        await other.query("rollback")
        await other.end()
      }
      expect(await indexes(database, "events")).toEqual({ events_id: true, events_id_ccnew: false })
      const next = await careFor(database, { wishes: { kinds: ["reindex"] } })
      expect(endsOf(next, "leftovers")).toEqual({ "public.events_id_ccnew": "done" })
      expect(await indexes(database, "events")).toEqual({ events_id: true })
    }))

  it("that does not end in its time is cut short, and what it left is dropped at once", () =>
    withDatabase(
      `create function slow(i int) returns int immutable language plpgsql as $$ begin
         if current_setting('application_name') = 'nightshift/maintenance' then perform pg_sleep(0.01); end if; return i; end $$;
       create table items (id int) with (autovacuum_enabled = false); insert into items select generate_series(1, 2000);
       create index items_slow on items (slow(id)); update pg_index set indisvalid = false where indexrelid = 'items_slow'::regclass`,
      async (database) => {
        const wishes = { kinds: ["reindex" as const] }
        const { outcomes } = await careFor(database, { wishes, care: { actionTimeLimit: "1s" } })
        expect(outcomes.map(({ end, detail }) => [end, detail])).toEqual([
          [
            "blocked",
            expect.stringMatching(
              /^it did not end within 1\.0 s.*actionTimeLimit.*; what it left is dropped: public\.items_slow_ccnew$/,
            ),
          ],
        ])
        expect(await indexes(database, "items")).toEqual({ items_slow: false })
      },
    ))

  it("is not begun where the plan's limit leaves no room for the new one beside the old", () =>
    withDatabase(bloatedSql, async (database) => {
      const care = { limits: { databaseBytes: 5_000_000 } }
      const { plan } = await planFor(database, { care, wishes: { kinds: ["reindex"] } })
      expect(plan.actions).toEqual([])
      expect(plan.notDone).toMatchObject([
        {
          target: "public.events_id",
          isRight: false,
          reason: expect.stringContaining("of the 5.0 MB allowed: remove data"),
        },
      ])
    }))

  it("leaves indexes with such names alone that are valid, that have no valid twin, or that differ", () =>
    withDatabase(
      `${bloatedSql} create index events_id_ccnew on events (id); create index kind_ccnew on events (kind);
       create index events_kind on events (kind); create index events_kind_ccold on events (kind, id);
       update pg_index set indisvalid = false where indexrelid in ('kind_ccnew'::regclass, 'events_kind_ccold'::regclass)`,
      async (database) => {
        const { plan } = await planFor(database)
        expect(plan.actions.filter(({ action }) => action === "leftovers")).toEqual([])
        await database.query("update pg_index set indisvalid = false where indexrelid = 'events_id_ccnew'::regclass")
        const { outcomes } = await careFor(database, { wishes: { kinds: ["reindex"] } })
        expect(endsOf({ outcomes } as never, "leftovers")).toEqual({ "public.events_id_ccnew": "done" })
        expect(Object.keys(await indexes(database, "events")).sort()).toEqual([
          ...["events_id", "events_kind", "events_kind_ccold", "kind_ccnew"],
        ])
      },
    ))
})

describe("what stands in the way", () => {
  it(
    "is named when a table is locked: who holds it, and the other tables go on",
    () =>
      withDatabase(
        `create table a (id int) with (autovacuum_enabled = false); create table b (id int) with (autovacuum_enabled = false);
       insert into a select generate_series(1, 100); insert into b select generate_series(1, 100);`,
        async (database) => {
          const migration = new pg.Client({ connectionString: database.url, application_name: "migration" })
          await migration.connect()
          await migration.query("begin; lock table a in share row exclusive mode")
          try {
            const care = { actionTimeLimit: "2s", actions: ["analyze"] }
            const { outcomes } = await careFor(database, { care })
            expect(endsOf({ outcomes } as never, "analyze")).toEqual({ "public.a": "blocked", "public.b": "done" })
            expect(outcomes.find(({ end }) => end === "blocked")?.detail).toMatch(
              /^no lock was to be had in time: it is held by migration \(pid \d+, user \w+, idle in transaction, in a transaction for /,
            )
          } finally {
            await migration.end()
          }
        },
      ),
    120_000,
  )

  it("is an old snapshot when VACUUM cannot remove what is dead", () =>
    withDatabase(
      "create table a (id int) with (autovacuum_enabled = false); insert into a select generate_series(1, 1000)",
      async (database) => {
        const reader = new pg.Client({ connectionString: database.url, application_name: "slow report" })
        await reader.connect()
        await reader.query("begin isolation level repeatable read; select count(*) from a")
        try {
          await database.query("delete from a")
          const { outcomes } = await careFor(database, { wishes: { kinds: ["vacuum"] } })
          expect(outcomes.map(({ end, detail }) => [end, detail])).toEqual([
            [
              "blocked",
              expect.stringMatching(
                /^vacuumed, but dead rows stay: 1,000 dead rows before, 1,000 after; slow report \(pid/,
              ),
            ],
          ])
        } finally {
          await reader.end()
        }
      },
    ))

  it("does not keep a run beyond its time: what is left is named", () =>
    withDatabase(bloatedSql, async (database) => {
      let asked = 0
      const remainingMs = () => (asked++ < 2 ? 60_000 : 0)
      const { outcomes, left, error } = await careFor(database, { remainingMs })
      expect([outcomes.length, left.map(({ action }) => action), error]).toEqual([1, ["vacuum", "analyze"], undefined])
    }))

  it("is a table that vanished after the plan was made: it is gone, and the others go on", () =>
    withDatabase(
      `create table a (id int) with (autovacuum_enabled = false); create table b (id int) with (autovacuum_enabled = false);
       create table c (id int) with (autovacuum_enabled = false); insert into a values (1); insert into b values (1); insert into c values (1)`,
      async (database) => {
        const migration = new pg.Client({ connectionString: database.url, application_name: "migration" })
        await migration.connect()
        await migration.query("begin; lock table a in share row exclusive mode")
        try {
          const running = careFor(database, { wishes: { kinds: ["analyze"] } })
          await untilRows(database, "select from pg_locks where relation = 'a'::regclass and not granted")
          await database.query("drop table b")
          await migration.query("commit")
          expect(endsOf(await running, "analyze")).toEqual({
            "public.a": "done",
            "public.b": "gone",
            "public.c": "done",
          })
        } finally {
          await migration.end()
        }
      },
    ))

  it("a connection that breaks ends the run, and what was done until then is told", () =>
    withDatabase(bloatedSql, async (database) => {
      const blocker = new pg.Client({ connectionString: database.url, application_name: "blocker" })
      await blocker.connect()
      await blocker.query("begin; update events set kind = 'x' where id = 10")
      try {
        const running = careFor(database)
        await untilRows(
          database,
          "select from pg_index i join pg_class c on c.oid = indexrelid where relname = 'events_id_ccnew'",
        )
        await database.query(
          "select pg_terminate_backend(pid) from pg_stat_activity where application_name = 'nightshift/maintenance' and datname = current_database()",
        )
        const { outcomes, left, error } = await running
        expect(outcomes.map(({ end, detail }) => [end, detail])).toEqual([
          ["failed", "the connection was lost while it ran: an invalid index that it left is dropped by the next run"],
        ])
        expect(left.map(({ action }) => action)).toEqual(["vacuum", "analyze"])
        expect(String(error)).toContain("its connection broke")
      } finally {
        await blocker.end()
      }
    }))

  it("is a replica, which takes no maintenance", () =>
    withReplica(async ({ replica }) => {
      const care = careFor({ url: "postgres://a@b/c" }, { address: replica })
      await expect(care).rejects.toThrow("writeUrl of main leads to a replica, which takes no maintenance")
    }))

  it("does not begin while another job works on the database", () =>
    withDatabase(bloatedSql, async (database) => {
      const holder = new pg.Client({ connectionString: database.url, application_name: "nightshift/backup" })
      await holder.connect()
      await holder.query("select pg_advisory_lock(hashtextextended('nightshift/main', 0))")
      try {
        await expect(careFor(database)).rejects.toThrow(/the lock nightshift\/main is held by nightshift\/backup/)
      } finally {
        await holder.end()
      }
    }))
})

async function indexes(database: { query(sql: string): Promise<Record<string, unknown>[]> }, table: string) {
  const rows = await database.query(
    `select c.relname as name, i.indisvalid as valid from pg_index i join pg_class c on c.oid = i.indexrelid where i.indrelid = '${table}'::regclass`,
  )
  return Object.fromEntries(rows.map(({ name, valid }) => [name, valid]))
}
