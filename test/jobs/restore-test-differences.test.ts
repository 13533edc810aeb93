import { expect, it } from "vitest"
import type { Receipt } from "../../lib/backup/receipt.ts"
import { setup } from "../support/night.ts"
import { backUp, forge, strangeLedger, testNewest, troubles } from "../support/proven.ts"

const values =
  "insert into NAME values (1, 'a', '{1,2}', '{\"n\": 1.0}', '\\x00', 1.0), (2, 'b', '{3}', '{}', '\\x01', 2), (3, null, null, null, null, null), (4, 'a', null, null, null, null)"
const copies = ["value", "swap", "nothing", "missing", "twice", "element", "digit", "byte", "scale", "same"]
const sql = `
  ${copies.map((name) => `create table ${name} (id int, t text, a int[], j jsonb, b bytea, n numeric); ${values.replace("NAME", name)}`).join(";")};
  create table authors (id int primary key, name text not null default 'nobody');
  insert into authors select i, 'author ' || i from generate_series(1, 50) i;
  create table books (id serial primary key, author int references authors, title text, price float8);
  insert into books (author, title, price) select 1 + i % 50, 'title ' || i, i from generate_series(1, 300) i;
  create index books_title on books (title); comment on table books is 'all of them';
  alter table books enable row level security; create policy readable on books using (price > 0);
  create materialized view prices as select author, max(price) as most from books group by author;
  create view cheap as select * from books where price < 10; grant select on authors to public;
  select lo_from_bytea(7, 'large'), lo_from_bytea(8, 'objects')`

/** The receipt of a restore test whose dump shows an altered database, and whose proof shows the database before. */
async function testAltered(alteration: string): Promise<Receipt> {
  const night = await setup({ sql })
  const good = await backUp(night, "2026-03-01T03:17:00Z")
  await night.database.query(alteration)
  const altered = await backUp(night, "2026-03-01T04:17:00Z")
  await forge(night, altered.set, good.set)
  const { receipt, test } = await testNewest(night, strangeLedger(night))
  expect(test.exitCode).toBe(receipt.verdict === "failed" ? 1 : 0)
  return receipt
}

/** A heading of the schema dump, with how it differs. */
function entry(text: string): unknown {
  return expect.stringMatching(new RegExp(`^Name: ${text}$`))
}

it("passes the dump of an unaltered database under an earlier proof", async () => {
  const receipt = await testAltered("select 1")
  expect(troubles(receipt)).toEqual({})
  expect(receipt.verdict).toBe("passed")
})

it("names each table, sequence and large object whose content is not the proof's, and nothing else", async () => {
  const receipt = await testAltered(`
    update value set t = 'A' where id = 1; update swap set t = case id when 1 then 'b' else 'a' end where id in (1, 2);
    update nothing set t = '' where id = 3; delete from missing where id = 4;
    delete from twice where id = 4; insert into twice select * from twice where id = 3; update element set a[2] = 3 where id = 1;
    update digit set j = '{"n": 1.00}' where id = 1; update byte set b = '\\x02' where id = 2; update scale set n = 2.0 where id = 2;
    update same set t = 'moved' where id = 1; update same set t = 'a' where id = 1;
    select setval('books_id_seq', 299); select lo_put(7, 0, 'L'); grant select on large object 8 to public`)
  const changed = ["byte", "digit", "element", "nothing", "scale", "swap", "twice", "value"]
  expect(troubles(receipt)).toEqual({
    data: [
      ...changed.map((name) => `public.${name}: 4 rows as expected, but their content differs`),
      "public.missing: expected 4 rows, found 3",
      "sequence public.books_id_seq: expected 300 to 300, found 299",
      "large objects: as many, with other content",
      "large objects: as many, with other owners, grants or comments",
    ].sort((a, b) => (a.startsWith("public.") && b.startsWith("public.") ? (a < b ? -1 : 1) : 0)),
  })
  expect(receipt.verdict).toBe("failed")
})

it("names each policy, grant, index, default, comment, owner and flag that is not the proof's, and nothing else", async () => {
  const receipt = await testAltered(`
    drop policy readable on books; revoke select on authors from public; drop index books_title;
    alter table authors alter name set default 'somebody'; comment on table books is 'some of them';
    alter table same owner to scram_users; alter table books disable row level security;
    create or replace view cheap as select * from books where price < 11`)
  const { structure, ...others } = troubles(receipt)
  expect(others).toEqual({})
  const count = expect.stringMatching(/^grant on relations to (nightshift_test|public|scram_users): [A-Z]+: expected/)
  expect(structure).toEqual([
    entry("authors; Type: TABLE;.*: changed"),
    entry("TABLE books; Type: COMMENT;.*: changed"),
    entry("cheap; Type: VIEW;.*: changed"),
    entry("same; Type: TABLE;.*; Owner: nightshift_test: missing"),
    entry("books_title; Type: INDEX;.*: missing"),
    entry("books; Type: ROW SECURITY;.*: missing"),
    entry("books readable; Type: POLICY;.*: missing"),
    entry("TABLE authors; Type: ACL;.*: missing"),
    entry("same; Type: TABLE;.*; Owner: scram_users: added"),
    ...Array.from({ length: 11 }, () => count),
    "and 9 more",
  ])
  expect(receipt.verdict).toBe("failed")
})

it("names a table that is missing and one that nobody expects", async () => {
  const receipt = await testAltered("create table surplus (a int); drop table twice")
  expect(troubles(receipt)).toEqual({
    structure: [entry("twice; Type: TABLE;.*: missing"), entry("surplus; Type: TABLE;.*: added")],
    data: ["public.twice: is missing", "public.surplus: is in the copy and not in the proof"],
  })
})

it("fails a dump whose rows break a foreign key when they are restored, even though its own proof says the same", async () => {
  const night = await setup({ sql })
  await night.database.query("set session_replication_role = replica; delete from authors where id = 50")
  await backUp(night, "2026-03-01T03:17:00Z")
  const { receipt } = await testNewest(night)
  expect(receipt.levels).toMatchObject({
    restore: { outcome: "failed", differences: expect.arrayContaining([expect.stringContaining("books_author_fkey")]) },
    structure: { outcome: "failed" },
    data: { outcome: "passed" },
  })
})
