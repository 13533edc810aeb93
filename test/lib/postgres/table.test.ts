import { describe, expect, it } from "vitest"
import { ConfigError } from "../../../lib/core/config-error.ts"
import { parsePostgresUrl } from "../../../lib/postgres/address.ts"
import { withClient } from "../../../lib/postgres/connect.ts"
import { columnOf, describeTable, type Table } from "../../../lib/postgres/table.ts"
import { type TestDatabase, withDatabase, withRole } from "../../support/postgres.ts"

const read = (database: TestDatabase, name: string, url = database.url): Promise<Table> =>
  withClient(parsePostgresUrl(url, "DATABASE_URL"), { applicationName: "tests" }, (client) =>
    describeTable(client, name),
  )

const problem = (promise: Promise<unknown>) =>
  promise.then(
    () => "no error",
    (error) => (error instanceof ConfigError ? error.message : `not a ConfigError: ${error}`),
  )

describe("describeTable", () => {
  it("names the table that was probably meant when there is none of that name", () =>
    withDatabase(
      "create table sessions (id int); create schema audit; create table audit.logs (id int)",
      async (database) => {
        expect(await problem(read(database, "sesions"))).toBe(
          "table public.sesions does not exist: did you mean public.sessions?",
        )
        expect(await problem(read(database, "logs"))).toBe("table public.logs does not exist: did you mean audit.logs?")
        expect(await problem(read(database, "quite_another_thing"))).toBe(
          "table public.quite_another_thing does not exist: correct its name, or remove the rule",
        )
        expect(await problem(read(database, "public.sessions; drop table sessions"))).toContain("does not exist")
      },
    ))

  it("names the column that was probably meant when there is none of that name", () =>
    withDatabase("create table logs (id int, created_at timestamptz)", async (database) => {
      const table = await read(database, "logs")
      expect(columnOf(table, "created_at").type).toBe("timestamp with time zone")
      expect(() => columnOf(table, "creatd_at")).toThrow(
        'table public.logs has no column "creatd_at": did you mean created_at?',
      )
      expect(() => columnOf(table, "level")).toThrow('table public.logs has no column "level": it has: id, created_at')
    }))

  it("takes names with quotes, capitals, dots in columns and other scripts as they are", () =>
    withDatabase(
      `create schema "Ops ""2"""; create table "Ops ""2"""."Größe's" ("Id.1" int primary key, "select" text)`,
      async (database) => {
        const table = await read(database, `Ops "2".Größe's`)
        expect(table).toMatchObject({ schema: 'Ops "2"', name: "Größe's", primaryKey: ["Id.1"], kind: "table" })
        expect(table.columns.map(({ name }) => name)).toEqual(["Id.1", "select"])
      },
    ))

  it("tells columns with their types under domains, and which cannot be written", () =>
    withDatabase(
      `create domain moment as timestamptz; create domain later as moment check (value > '2000-01-01');
       create table t (id bigint generated always as identity primary key, at later not null, n numeric(10,2), gone int,
                       twice numeric generated always as (n * 2) stored);
       alter table t drop column gone`,
      async (database) => {
        const { columns } = await read(database, "t")
        expect(columns).toMatchObject([
          { name: "id", type: "bigint", isIdentity: true, isNullable: false },
          { name: "at", type: "later", baseType: "timestamp with time zone", isNullable: false },
          { name: "n", type: "numeric(10,2)", baseType: "numeric", isNullable: true, isGenerated: false },
          { name: "twice", isGenerated: true },
        ])
      },
    ))

  it("tells keys in both directions, what they do on delete and whether an index serves them", () =>
    withDatabase(
      `create table users (id int, org int, primary key (org, id));
       create table posts (id int primary key, org int, author int, foreign key (org, author) references users (org, id) on delete cascade);
       create index on posts (author, org, id);
       create table likes (org int, who int, foreign key (org, who) references users on delete set null);
       create index on likes (org, who) where who > 5;
       create table notes (id int primary key, parent int references notes)`,
      async (database) => {
        const users = await read(database, "users")
        expect(users.primaryKey).toEqual(["org", "id"])
        expect(users.incoming).toMatchObject([
          { from: { name: "likes" }, columns: ["org", "who"], onDelete: "set null", hasIndex: false },
          {
            from: { name: "posts" },
            columns: ["org", "author"],
            toColumns: ["org", "id"],
            onDelete: "cascade",
            hasIndex: true,
          },
        ])
        expect((await read(database, "posts")).foreignKeys).toMatchObject([{ to: { schema: "public", name: "users" } }])
        const notes = await read(database, "notes")
        expect(notes.incoming).toEqual(notes.foreignKeys)
        expect(notes.incoming).toMatchObject([{ onDelete: "no action", hasIndex: false }])
      },
    ))

  it("tells a key of a partitioned table once, and its rows and bytes with those of the partitions", () =>
    withDatabase(
      `create table parents (id int primary key);
       create table events (id int, parent int references parents, at date not null, primary key (id, at)) partition by range (at);
       create table events_1 partition of events for values from ('2026-01-01') to ('2026-02-01');
       create table events_2 partition of events for values from ('2026-02-01') to ('2026-03-01');
       insert into parents values (1);
       insert into events select i, 1, '2026-01-01'::date + i % 59 from generate_series(1, 590) i; analyze events, parents`,
      async (database) => {
        const events = await read(database, "events")
        expect(events).toMatchObject({
          kind: "partitioned table",
          estimatedRows: 590,
          hasChildren: true,
          isPartition: false,
        })
        expect(events.bytes).toBeGreaterThan(16_000)
        expect((await read(database, "parents")).incoming).toMatchObject([
          { from: { name: "events" }, fromEstimatedRows: 590, fromBytes: events.bytes },
        ])
        expect(await read(database, "events_1")).toMatchObject({ kind: "table", isPartition: true })
      },
    ))

  it("tells indexes with expressions, conditions and those that are not valid", () =>
    withDatabase(
      `create table t (a int, b text); create index by_b on t (lower(b), a desc) include (b); create unique index some_a on t (a) where a > 0`,
      async (database) => {
        await database.query("update pg_index set indisvalid = false where indexrelid = 'some_a'::regclass")
        expect((await read(database, "t")).indexes).toEqual([
          { name: "by_b", columns: [null, "a"], isUnique: false, isValid: true, isPartial: false, method: "btree" },
          { name: "some_a", columns: ["a"], isUnique: true, isValid: false, isPartial: true, method: "btree" },
        ])
      },
    ))

  it("tells whether row security keeps rows from the role that asks", () =>
    withDatabase("create table t (a int); alter table t enable row level security", (database) =>
      withRole(database, "pw", async (role) => {
        await database.query(`grant select on t to ${role}`)
        expect(await read(database, "t")).toMatchObject({ hasRowSecurity: true, hidesRows: false })
        expect(await read(database, "t", database.urlAs(role, "pw"))).toMatchObject({ hidesRows: true })
        await database.query(`alter table t owner to ${role}; grant all on schema public to ${role}`)
        expect(await read(database, "t", database.urlAs(role, "pw"))).toMatchObject({ hidesRows: false, owner: role })
        await database.query("alter table t force row level security")
        expect(await read(database, "t", database.urlAs(role, "pw"))).toMatchObject({ hidesRows: true })
      }),
    ))

  it("tells views, foreign tables and the team's triggers", () =>
    withDatabase(
      `create table t (a int); create view v as select * from t;
       create function f() returns trigger language plpgsql as 'begin return old; end';
       create trigger keep before delete or update on t for each row execute function f();
       create trigger off before delete on t for each row execute function f(); alter table t disable trigger off`,
      async (database) => {
        expect((await read(database, "v")).kind).toBe("view")
        expect((await read(database, "t")).triggers).toEqual([{ name: "keep", on: ["delete", "update"] }])
      },
    ))
})
