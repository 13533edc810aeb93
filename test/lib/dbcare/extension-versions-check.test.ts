import { describe, expect, it } from "vitest"
import { extensionVersionsCheck } from "../../../lib/dbcare/extension-versions-check.ts"
import { itemsOf, namesOf } from "../../support/care.ts"
import { withDatabase, withRole } from "../../support/postgres.ts"

describe("extension versions", () => {
  it("that are older than the server's are found, and updated by the remedy", async () => {
    await withDatabase("create extension pg_trgm version '1.3'; create extension citext", async (database) =>
      withRole(database, "secret", async (role) => {
        const [item, ...rest] = await itemsOf(extensionVersionsCheck, database.urlAs(role, "secret"))
        expect(rest).toEqual([])
        expect(item).toMatchObject({ item: "pg_trgm", outcome: "warn", evidence: { installed: "1.3" } })
        expect(item?.remedy?.undo).toBeUndefined()
        for (const statement of item?.remedy?.run ?? []) await database.query(statement)
        expect(await namesOf(extensionVersionsCheck, database.url)).toEqual([])
      }),
    )
  })

  it("of which the server has no files any more are found", async () => {
    await withDatabase(
      "create extension citext; update pg_extension set extname = 'gone' where extname = 'citext'",
      async (database) => {
        expect(await itemsOf(extensionVersionsCheck, database.url)).toMatchObject([
          { item: "gone", detail: expect.stringContaining("no files") },
        ])
      },
    )
  })
})
