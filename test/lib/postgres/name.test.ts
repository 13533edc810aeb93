import { expect, it } from "vitest"
import { parseTableName, quoteTable, renderTableName } from "../../../lib/postgres/name.ts"
import { withDatabase } from "../../support/postgres.ts"

it("a table is of public unless its schema is said", () => {
  expect(parseTableName("sessions")).toEqual({ schema: "public", name: "sessions" })
  expect(parseTableName("audit.sessions")).toEqual({ schema: "audit", name: "sessions" })
  expect(renderTableName({ schema: "audit", name: "sessions" })).toBe("audit.sessions")
})

it("any name can be told to the server", async () => {
  const name = 'Bobby"; drop table t; -- \u00e9\u{1f9c0}'
  await withDatabase(`create table ${quoteTable({ schema: "public", name })} (i int)`, async ({ query }) => {
    expect(await query("select relname from pg_class where relnamespace = 'public'::regnamespace")).toEqual([
      { relname: name },
    ])
  })
})
