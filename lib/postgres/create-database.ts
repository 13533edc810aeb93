import pg from "pg"
import type { PostgresAddress } from "./address.ts"
import { withClient } from "./connect.ts"

/** An empty database to make, with the text rules of the one that will be restored into it. */
export type NewDatabase = {
  name: string
  /** As `pg_encoding_to_char` names it: `UTF8`. */
  encoding: string
  localeProvider: "libc" | "icu" | "builtin"
  collate: string
  ctype: string
  /** With `icu` a locale of ICU. */
  icuLocale?: string | undefined
  icuRules?: string | undefined
  /** With `builtin`: `C`, `C.UTF-8` or `PG_UNICODE_FAST`. */
  builtinLocale?: string | undefined
}

/** This machine's Postgres does not have the locale that a database needs. */
export class LocaleMissing extends Error {
  readonly locale: string

  constructor(database: NewDatabase, cause: unknown) {
    const locale =
      database.icuLocale ?? database.builtinLocale ?? [...new Set([database.collate, database.ctype])].join(" / ")
    const remedy =
      database.localeProvider === "libc"
        ? "install it (Debian: locale-gen, or the package locales-all)"
        : `use a server of the same version that is built with the ${database.localeProvider} provider`
    super(
      `database ${database.name} needs the ${database.localeProvider} locale ${locale} (${database.encoding}), which this machine lacks: ${remedy}`,
      { cause },
    )
    this.name = "LocaleMissing"
    this.locale = locale
  }
}

/** Makes an empty database from `template0`. Rejects with `LocaleMissing` when the server's machine lacks the locale. */
export async function createDatabase(
  admin: PostgresAddress,
  database: NewDatabase,
  signal?: AbortSignal,
): Promise<void> {
  await withClient(admin, { applicationName: "nightshift/create-database", signal }, async (client) => {
    const { rows } = await client.query("select current_setting('server_version_num')::int / 10000 as major")
    const sql = createStatement(database, Number(rows[0]?.major))
    await client.query(sql).catch((error: unknown) => {
      throw isLocaleError(error) ? new LocaleMissing(database, error) : error
    })
  })
}

function createStatement(database: NewDatabase, major: number): string {
  const text = pg.escapeLiteral
  const parts = [
    `create database ${pg.escapeIdentifier(database.name)} template template0`,
    `encoding ${text(database.encoding)}`,
    `lc_collate ${text(database.collate)} lc_ctype ${text(database.ctype)}`,
  ]
  if (major >= 15) parts.push(`locale_provider ${database.localeProvider}`)
  else if (database.localeProvider !== "libc") throw new LocaleMissing(database, undefined)
  if (database.localeProvider === "icu" && database.icuLocale) parts.push(`icu_locale ${text(database.icuLocale)}`)
  if (database.localeProvider === "icu" && database.icuRules) parts.push(`icu_rules ${text(database.icuRules)}`)
  if (database.builtinLocale) parts.push(`builtin_locale ${text(database.builtinLocale)}`)
  return parts.join(" ")
}

/** Postgres has no code of its own for it: `invalid locale name`, `could not open collator`, `ICU is not supported in this build`. */
function isLocaleError(error: unknown): boolean {
  return error instanceof Error && /locale|collator|ICU is not supported/i.test(error.message)
}
