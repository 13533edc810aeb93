import { randomBytes } from "node:crypto"
import { mkdtemp, rm } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { afterEach, describe, expect, it, onTestFinished, vi } from "vitest"
import { withoutExtension } from "../support/lesser-postgres.ts"
import { setup } from "../support/night.ts"
import { administer, withRole } from "../support/postgres.ts"
import { writeProgram } from "../support/programs-folder.ts"
import { backUp, changeManifest, prove, strangeLedger, testNewest, troubles } from "../support/proven.ts"

/** Puts an apt-get of this test's own before the machine's, and a sudo that finds it. */
async function fakeDebian(aptGet: string): Promise<void> {
  const dir = await mkdtemp(join(tmpdir(), "debian-"))
  onTestFinished(() => rm(dir, { recursive: true }))
  writeProgram(dir, "apt-get", aptGet)
  writeProgram(dir, "sudo", 'shift; exec "$@"')
  vi.stubEnv("PATH", `${dir}:${process.env.PATH}`)
}

afterEach(() => {
  vi.unstubAllEnvs()
})

describe("a database of a managed platform", () => {
  const platform = `
    create schema extensions; create extension citext schema extensions; create extension pgcrypto schema extensions;
    create schema auth; create type auth.level as enum ('aal1', 'aal2'); create domain auth.email as text check (value like '%@%');
    create table auth.users (id uuid primary key, email auth.email, nick extensions.citext, level auth.level);
    insert into auth.users select md5(i::text)::uuid, i || '@x', 'n' || i, 'aal1' from generate_series(1, 10) i;
    create function auth.uid() returns uuid language sql stable as $$ select null::uuid $$;
    create function auth.role(fallback text default 'anon') returns text language sql stable as $$ select fallback $$;
    create function auth.everyone() returns setof auth.users language sql stable as 'select * from auth.users';
    create function auth.slug(text) returns text language sql immutable as $$ select lower($1) $$;
    create function auth.note() returns trigger language plpgsql as 'begin return new; end';
    create function auth.on_ddl() returns event_trigger language plpgsql as 'begin end';
    create sequence auth.numbers;
    create table profiles (id uuid primary key references auth.users on delete cascade, number int default nextval('auth.numbers'),
      secret text default extensions.gen_salt('md5'), owner uuid default auth.uid(), level auth.level default 'aal2', levels auth.level[], mail auth.email, nick extensions.citext);
    insert into profiles (id, levels, mail, nick) select id, '{aal1}', email, nick from auth.users;
    alter table profiles enable row level security; create policy own on profiles using (id = auth.uid() and auth.role() <> 'x');
    create policy known on profiles for select using (exists (select from auth.users u where u.id = profiles.id));
    create index on profiles (auth.slug(mail)); alter table profiles add check (auth.slug(mail) <> 'x');
    create domain handle as text check (auth.slug(value) = value);
    create trigger noted after insert on profiles for each row execute function auth.note();
    create view members as select p.*, u.email from profiles p join auth.users u using (id);
    create view counted as select u.*, count(*) from auth.users u group by u.id; create view everyone as select * from auth.everyone();
    create materialized view emails as select email from auth.users; create materialized view levels as select level, count(*) from profiles group by level;
    create function first_user() returns uuid begin atomic select id from auth.users order by id limit 1; end;
    create function of_level(auth.level) returns int language sql as 'select 1';
    create event trigger watch on ddl_command_end execute function auth.on_ddl()`

  it("comes back without the excluded schemas: what stands in for them and what is lost is named", async () => {
    const night = await setup({ sql: platform, backup: 'exclude: { schemas: ["auth", "extensions"] }' })
    const { receipt } = await prove(night)
    expect(receipt.verdict).toBe("passed with exceptions")
    const { restore, structure, data, ...others } = troubles(receipt)
    expect(others).toEqual({})
    const standIn = (what: string) => `${what}: a stand-in, the backup excludes the real one`
    expect(new Set(restore)).toEqual(
      new Set([
        ...["schema auth", "schema extensions", "type auth.email", "type auth.level"].map(standIn),
        ...["table auth.numbers", "table auth.users"].map(standIn),
        ...["everyone()", "note()", "on_ddl()", "role(fallback text DEFAULT 'anon'::text)", "slug(text)", "uid()"].map(
          (name) => standIn(`function auth.${name}`),
        ),
        "left out: FK CONSTRAINT public profiles profiles_id_fkey nightshift_test",
      ]),
    )
    expect(structure).toEqual([
      "Name: profiles profiles_id_fkey; Type: FK CONSTRAINT; Schema: public; Owner: nightshift_test: was not restored",
      "1 archive entries were left out, and with them in the catalogue: kind constraint f: expected 1, found 0",
    ])
    expect(data).toEqual(["rows of materialized view public.emails: it reads what the configuration excludes"])
    expect(receipt.levels.data.detail).toMatch(/^2 tables compared, 2 by content/)
  })

  it("comes back without single excluded tables, whatever schema they are in", async () => {
    const night = await setup({
      sql: `create schema app; create type app.mood as enum ('ok'); create table app.events (id int primary key, mood app.mood, "Odd name" int); insert into app.events values (1, 'ok', 1);
        create table app.notes (id int, event int references app.events); insert into app.notes values (1, 1);
        create table big (id serial primary key, v int); insert into big values (1, 1); create view app.recent as select * from app.events where mood = 'ok'; create view sums as select sum(v) from big`,
      backup: 'exclude: { tables: ["app.events", "public.big"] }',
    })
    const { receipt, set } = await prove(night)
    expect(set.manifest.totals.tables).toBe(1)
    expect(troubles(receipt).restore).toEqual([
      "left out: FK CONSTRAINT app notes notes_event_fkey nightshift_test",
      "table app.events: a stand-in, the backup excludes the real one",
      "table public.big: a stand-in, the backup excludes the real one",
    ])
    expect(receipt.verdict).toBe("passed with exceptions")
  })
})

describe("a scratch server that lacks something", () => {
  const extended = `create schema extensions; create extension citext schema extensions; create extension hstore;
    create table people (id serial primary key, name extensions.citext unique); insert into people (name) values ('A');
    create table badges (person int references people, label text); insert into badges values (1, 'x'); comment on table people is 'gone';
    create view names as select name from people; create index on people (lower(name::text));
    create table plain (a int, h hstore); insert into plain values (1, 'a=>1'); grant select on people to public`

  it("leaves an extension out with everything that needs it, names all of it, and compares the rest", async () => {
    const night = await setup({ sql: extended })
    await backUp(night, "2026-03-01T03:17:00Z")
    const { receipt } = await withoutExtension("citext", ({ bin }) => testNewest(night, { OPS_PG_BIN: bin }))
    const { restore, structure, data, ...others } = troubles(receipt)
    expect(others).toEqual({})
    expect(restore).toContain(
      "extension citext: this server does not have it: add its Debian package to restore.packages of the database",
    )
    for (const lost of ["TABLE public people", "VIEW public names", "FK CONSTRAINT public badges badges_person_fkey"])
      expect(restore).toContainEqual(expect.stringMatching(`^left out: ${lost}`))
    const [counts, ...lost] = structure?.toReversed() ?? []
    expect(counts).toMatch(
      /^15 archive entries were left out, and with them in the catalogue: .*kind index: expected 3, found 0/,
    )
    expect(lost).toHaveLength(13)
    expect(lost.filter((line) => !line.endsWith(": was not restored"))).toEqual([])
    expect(data).toEqual(["public.people: was not restored"])
    expect(receipt.levels.data.detail).toMatch(/^2 tables compared/)
    expect(receipt.verdict).toBe("passed with exceptions")
  })

  it("installs the packages that the configuration lists and that exist, and says of others why not", async () => {
    const night = await setup({ sql: extended, settings: 'restore: { packages: ["nowhere", "postgresql-citext"] }' })
    await backUp(night, "2026-03-01T03:17:00Z")
    await withoutExtension("citext", async ({ bin, remedy }) => {
      await fakeDebian('case "$*" in *install*) echo "E: Unable to locate package $5" >&2; exit 100 ;; esac')
      const failed = await testNewest(night, { OPS_PG_BIN: bin })
      expect(troubles(failed.receipt).restore?.[0]).toMatch(
        /^package nowhere: not installed: .*; package postgresql-citext: not installed: .*E: Unable to locate package postgresql-citext$/,
      )
      expect(failed.receipt.verdict).toBe("passed with exceptions")

      const lacksOne = "*install*nowhere*) echo 'E: Unable to locate package nowhere' >&2; exit 100"
      await fakeDebian(`case "$*" in ${lacksOne} ;; *install*postgresql-citext*) ${remedy} ;; esac`)
      const { receipt } = await testNewest(night, { OPS_PG_BIN: bin })
      expect(troubles(receipt)).toEqual({})
      expect(receipt.verdict).toBe("passed")
    })
  })

  it("uses C in the place of a locale that is not there, and says so", async () => {
    const night = await setup({
      sql: "create table t (a text); insert into t values ('ä'), ('b'); create index on t (a)",
    })
    const { set } = await backUp(night, "2026-03-01T03:17:00Z")
    await changeManifest(night, set, ({ server }) => {
      server.collate = "xx_XX.UTF-8"
      server.ctype = "xx_XX.UTF-8"
    })
    const { receipt } = await testNewest(night, strangeLedger(night))
    expect(troubles(receipt)).toEqual({
      restore: [
        'locale xx_XX.UTF-8: this machine lacks it, C was used: add "locales" to restore.packages of the database',
      ],
    })
  })

  it("makes the roles that grants, policies and owners name, when the backup could not read them", async () => {
    const night = await setup({ sql: "create table t (a int); alter table t enable row level security" })
    await withRole(night.database, "secret", async (role) => {
      await night.database.query(`grant select on t to ${role}; create policy own on t to ${role} using (true);
        create schema theirs authorization ${role}; alter default privileges for role ${role} grant select on tables to public`)
      const { set } = await backUp(night, "2026-03-01T03:17:00Z")
      await changeManifest(night, set, ({ objects }) => {
        delete objects.roles
      })
      const { receipt } = await testNewest(night, strangeLedger(night))
      expect(troubles(receipt)).toEqual({
        restore: [role, "nightshift_test"]
          .sort()
          .map((name) => `role ${name}: a stand-in without rights, the backup holds no definition of it`),
      })
      expect(receipt.verdict).toBe("passed with exceptions")
      await night.database.query(`drop schema theirs; drop policy own on t`)
    })
  })

  it("makes tablespaces of its own", async () => {
    const name = `fast ${randomBytes(4).toString("hex")}`
    await administer(`create tablespace "${name}" location ''`, "set allow_in_place_tablespaces = on")
    onTestFinished(async () => {
      await administer(`drop tablespace "${name}"`)
    })
    const night = await setup({
      sql: `create table slow (a int); create table quick (a int primary key) tablespace "${name}"; insert into quick values (1); create index on slow (a) tablespace "${name}"`,
    })
    const { receipt } = await prove(night)
    expect(troubles(receipt)).toEqual({})
    await night.database.query("drop table quick; drop table slow")
  })
})

describe("a role that may only read", () => {
  it("makes a backup that comes back equal, and is told what it could not read", async () => {
    const night = await setup({
      sql: `create table notes (id int primary key, body text); insert into notes select i, 'n' || i from generate_series(1, 100) i;
        create materialized view m as select count(*) from notes; create sequence s; create extension postgres_fdw;
        create server remote foreign data wrapper postgres_fdw; create user mapping for current_user server remote options (user 'u', password 'p');
        create subscription feed_${randomBytes(3).toString("hex")} connection 'dbname=x' publication p with (connect = false, slot_name = none)`,
    })
    await withRole(night.database, "secret", async (role) => {
      await night.database.query(`grant pg_read_all_data to ${role}`)
      const { receipt, set } = await prove(night, { DATABASE_URL: night.database.urlAs(role, "secret") })
      const leftOut = [
        "options of 1 user mappings, if they have any: this role may not read them",
        "pg_dump: warning: subscriptions not dumped because current user is not a superuser",
      ]
      expect(set.manifest.leftOut).toEqual(leftOut)
      expect(troubles(receipt)).toEqual({ data: leftOut })
      expect(set.manifest.objects.roles).toBeDefined()
    })
    await night.database.query(
      "do $$ declare n text; begin select subname into n from pg_subscription where subdbid = (select oid from pg_database where datname = current_database()); execute 'drop subscription ' || n; end $$",
    )
  })
})

describe("a proof that holds less", () => {
  const sql =
    "create table a (x int); insert into a select generate_series(1, 100); create table b (x int); insert into b values (1)"

  it("of counts only finds missing rows and says that it compared no content", async () => {
    const night = await setup({ sql, backup: 'proof: "counts"' })
    const { receipt, set } = await prove(night)
    expect(set.manifest.proof).toEqual({ level: "counts", tablesCounted: 2, tablesHashed: 0 })
    expect(troubles(receipt)).toEqual({ data: ["content: the proof holds counts only"] })
    expect(receipt.levels.data.detail).toMatch(/^2 tables compared, 0 by content/)
  })

  it("because its time was up names every table that it did not reach, in the manifest and in the receipt", async () => {
    const night = await setup({
      sql: `${sql}; create table naps (seconds float8);
        create function nap() returns int language plpgsql as 'begin perform pg_sleep(seconds) from public.naps; return 1; end';
        create materialized view long as select nap(); insert into naps values (1.5); create table "z z" (x int)`,
      backup: 'proofTimeLimit: "1 second"',
    })
    const { receipt, set } = await prove(night)
    const leftOut = ["rows of 3 tables, not reached within 1.0 s: public.long, public.naps, public.z z"]
    expect(set.manifest.leftOut).toEqual(leftOut)
    expect(set.manifest.proof).toEqual({ level: "full", tablesCounted: 2, tablesHashed: 2 })
    expect(troubles(receipt)).toEqual({ data: leftOut })
    expect(receipt.levels.data.detail).toMatch(/^2 tables compared/)
  })
})

describe("assertions of the team", () => {
  const assertions = (list: string) => `assertions: [${list}]`

  it("are asked of the restored copy: those that fail, break or write are named, and nothing that they do stays", async () => {
    const night = await setup({
      sql: "create table users (id int); insert into users select generate_series(1, 10)",
      settings: assertions(`
        { name: "users exist", sql: "select count(*) from users", expect: { min: 1, max: 10 } },
        { name: "no user is negative", sql: "select id from users where id < 0" },
        { name: "there are many", sql: "select count(*) from users", expect: { min: 11 } },
        { name: "none is odd", sql: "select * from users where id % 2 = 1" },
        { name: "it is spelled right", sql: "select count(*) from user_s", expect: { min: 1 } },
        { name: "nobody can write", sql: "delete from users returning id" },
        { name: "two statements", sql: "select 1; select 2" }`),
    })
    const { receipt } = await prove(night)
    expect(receipt.levels.behaviour.differences).toEqual([
      '"there are many": expected at least 11, found 10',
      '"none is odd": expected no rows, found 5',
      '"it is spelled right": relation "user_s" does not exist',
      '"nobody can write": cannot execute DELETE in a read-only transaction',
      '"two statements": cannot insert multiple commands into a prepared statement',
    ])
    const { behaviour, ...others } = receipt.levels
    expect(Object.values(others).map(({ outcome }) => outcome)).toEqual(Array(6).fill("passed"))
    expect(receipt.verdict).toBe("failed")
  })

  it("cannot leave the transaction that may only read", async () => {
    const night = await setup({
      sql: "create table users (id int); insert into users values (1)",
      settings: assertions(`
        { name: "leaves", sql: "commit" }, { name: "deletes", sql: "commit; delete from public.users" },
        { name: "stays", sql: "select count(*) from users", expect: { min: 1 } }`),
    })
    const { receipt } = await prove(night)
    expect(receipt.levels.behaviour.differences).toEqual([
      '"deletes": cannot insert multiple commands into a prepared statement',
    ])
  })
})
