import pg from "pg"
import { expect, it } from "vitest"
import { errorText, stackText } from "../../../lib/core/error-text.ts"
import { type TestDatabase, withDatabase } from "../../support/postgres.ts"

const value = `Ada "the first" Lovelace`
const sql = `
  create type mood as enum ('sad'); create domain word as text check (value !~ ' ');
  create table people (name text primary key, age int check (age > 0), code varchar(3));
  insert into people values ('${value}', 36, 'x');
  create function speak(text, code text) returns void language plpgsql as $$ begin raise exception 'no: %', $1 using errcode = code, detail = $1, hint = $1; end $$;
  create function check_that(text) returns void language plpgsql as $$ begin assert false, $1; end $$`

const statements: [string, string][] = [
  ["select name::int from people", 'invalid input syntax for type integer: "…"'],
  ["select name::mood from people", 'invalid input value for enum mood: "…"'],
  ["select name::timestamptz from people", 'invalid input syntax for type timestamp with time zone: "…"'],
  ["select to_date(name, 'YYYY') from people", 'invalid value "…"'],
  ["select name::json from people", "invalid input syntax for type json"],
  ["select name::text[] from people union select '{' || name from people", ""],
  ["select ('99999 ' || name)::smallint from people", 'value "…" is out of range for type smallint'],
  ["select now() at time zone name from people", 'time zone "…" not recognized'],
  ["select convert_from(name::bytea || '\\xe9ff', 'UTF8') from people", 'invalid byte sequence for encoding "…"'],
  ["insert into people select * from people", 'violates unique constraint "people_pkey"'],
  ["update people set age = -age", 'violates check constraint "people_age_check"'],
  ["update people set code = name", "value too long for type character varying(3)"],
  ["select name::word from people", 'value for domain word violates check constraint "word_check"'],
  ["select speak(name, 'P0001') from people", "a trigger or function of the database raised an error (P0001)"],
  ["select speak(name, '23514') from people", "a trigger or function of the database raised an error (23514)"],
  ["select speak(name, '42501') from people", "a trigger or function of the database raised an error (42501)"],
  ["select check_that(name) from people", "a trigger or function of the database raised an error (P0004)"],
]

it("no text of an error of the server holds a value of a row, whatever the server says", async () => {
  await withDatabase(sql, async (database) => {
    for (const [statement, words] of statements) {
      const error = new Error("the work failed", { cause: await refusal(database, statement) })
      expect(errorText(error), statement).toContain(words)
      expect(`${errorText(error)} ${stackText(error.cause)}`, statement).not.toMatch(/Ada|first|Lovelace/)
      expect(stackText(error.cause), statement).toMatch(/\n {4}at /)
    }
  })
})

it("quotation marks of any language enclose a value", () => {
  for (const message of ["valeur « Ada » invalide", "ungültiger Wert »Ada«", "Wert „Ada“", "値「Ada」"])
    expect(errorText(Object.assign(new Error(message), { code: "22P02" }))).not.toContain("Ada")
})

it("texts of other errors stay as they are", () => {
  for (const code of ["EPIPE", "EBUSY", "42703", "ENOTFOUND", "23505"])
    expect(errorText(Object.assign(new Error('column "ada" is no more'), { code }))).toBe('column "ada" is no more')
})

async function refusal({ url }: TestDatabase, statement: string): Promise<unknown> {
  const client = new pg.Client({ connectionString: url })
  await client.connect()
  try {
    return await client.query(statement).then(
      () => expect.fail(`${statement} was taken`),
      (error: unknown) => error,
    )
  } finally {
    await client.end()
  }
}
