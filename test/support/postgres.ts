import { randomBytes } from "node:crypto"
import pg from "pg"
import { inject } from "vitest"
import { type PostgresAddress, parsePostgresUrl } from "../../lib/postgres/address.ts"
import { withClient } from "../../lib/postgres/connect.ts"

export type TestDatabase = {
  name: string
  /** The database over TCP, as the superuser. */
  url: string
  address: PostgresAddress
  /** Runs SQL in a connection of its own and returns the rows of the (last) statement. */
  query(sql: string, values?: unknown[]): Promise<Record<string, unknown>[]>
  /** The same database as another role. */
  urlAs(role: string, password?: string): string
  drop(): Promise<void>
}

/** Makes an empty database on the shared server, and runs `sql` in it. The caller drops it. */
export async function createDatabase(sql = "", options = ""): Promise<TestDatabase> {
  const name = `test_${randomBytes(6).toString("hex")}`
  await administer(`create database ${name} ${options}`)
  const database = describeDatabase(name)
  try {
    if (sql !== "") await database.query(sql)
    return database
  } catch (error) {
    await database.drop()
    throw error
  }
}

/** Runs `fn` with an empty database of its own on the shared server, in which `sql` was run, and drops it after. */
export async function withDatabase<T>(sql: string, fn: (database: TestDatabase) => Promise<T>): Promise<T> {
  const database = await createDatabase(sql)
  try {
    return await fn(database)
  } finally {
    await database.drop()
  }
}

/** Makes a role that must log in with `password`, runs `fn` with its name, and drops the role with all that it owns or may in `database`. */
export async function withRole<T>(
  database: TestDatabase,
  password: string,
  fn: (role: string) => Promise<T>,
): Promise<T> {
  const role = `role_${randomBytes(6).toString("hex")}`
  await administer(`create role ${role} login in role scram_users password ${pg.escapeLiteral(password)}`)
  try {
    return await fn(role)
  } finally {
    await database.query(`drop owned by ${role}`)
    await administer(`drop role ${role}`)
  }
}

/** The URL of a database of the shared server as its superuser, whether or not it exists. */
export function databaseUrl(name: string): string {
  const { host, port, user } = inject("postgres")
  return `postgres://${user}@${host}:${port}/${encodeURIComponent(name)}`
}

/** Runs one statement as the superuser, outside of any test database, after the settings that it needs. Returns its rows. */
export async function administer(sql: string, settings = ""): Promise<Record<string, unknown>[]> {
  const address = parsePostgresUrl(databaseUrl("postgres"), "the shared server")
  return withClient(address, { applicationName: "tests" }, async (client) => {
    if (settings !== "") await client.query(settings)
    return (await client.query(sql)).rows
  })
}

function describeDatabase(name: string): TestDatabase {
  const url = databaseUrl(name)
  const address = parsePostgresUrl(url, "DATABASE_URL")
  return {
    name,
    url,
    address,
    query: (sql, values) =>
      withClient(address, { applicationName: "tests" }, async (client) => {
        const results: pg.QueryResult[] = [await client.query(sql, values)].flat()
        return results.at(-1)?.rows ?? []
      }),
    urlAs(role, password = "") {
      const { host, port } = inject("postgres")
      return `postgres://${encodeURIComponent(role)}:${encodeURIComponent(password)}@${host}:${port}/${name}`
    },
    async drop() {
      await administer(`drop database if exists ${name} with (force)`)
    },
  }
}
