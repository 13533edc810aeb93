import { type Client, escapeIdentifier } from "pg"
import { errorText } from "../core/error-text.ts"
import type { Proof } from "./proof.ts"

/** What was made in the scratch cluster in place of something that the backup does not hold, in words. */
export type StandIns = { made: string[]; failed: string[] }

/** Creates, without rights, the roles that are named and not there. */
export async function makeMissingRoles(client: Client, names: readonly string[]): Promise<string[]> {
  const { rows } = await client.query(
    "select name from unnest($1::text[]) name where name not in (select rolname from pg_catalog.pg_roles)",
    [names],
  )
  const made: string[] = []
  for (const row of rows) {
    const name = String(row.name)
    await client.query(`create role ${escapeIdentifier(name)} nologin`)
    made.push(`role ${name}`)
  }
  return made
}

/**
 * Creates what the dumped objects refer to and the configuration excludes, such as `auth.uid()` of a managed platform:
 * functions that answer null and tables without rows, only where nothing of the name is there.
 */
export async function makeStandIns(client: Client, outside: Proof["outside"]): Promise<StandIns> {
  const result: StandIns = { made: [], failed: [] }
  const schemas = new Set([...outside.functions, ...outside.relations].map((object) => object.schema))
  for (const schema of schemas)
    await attempt(client, result, `schema ${schema}`, `create schema if not exists ${escapeIdentifier(schema)}`)
  for (const relation of outside.relations) {
    const columns = relation.columns.map((column) => `${escapeIdentifier(column.name)} ${column.type}`)
    const name = `${escapeIdentifier(relation.schema)}.${escapeIdentifier(relation.name)}`
    await attempt(
      client,
      result,
      `table ${relation.schema}.${relation.name}`,
      `create table if not exists ${name} (${columns.join(", ")})`,
    )
  }
  for (const routine of outside.functions) {
    const signature = `${escapeIdentifier(routine.schema)}.${escapeIdentifier(routine.name)}(${routine.arguments})`
    const sql = `create function ${signature} returns ${routine.result} language plpgsql as 'begin ${answer(routine.result)}; end'`
    await attempt(client, result, `function ${routine.schema}.${routine.name}(${routine.arguments})`, sql)
  }
  return result
}

function answer(result: string): string {
  if (result === "trigger") return "return new"
  return /^(setof |table\(|void$|event_trigger$)/i.test(result) ? "return" : "return null"
}

async function attempt(client: Client, result: StandIns, what: string, sql: string): Promise<void> {
  try {
    await client.query(sql)
    result.made.push(what)
  } catch (error) {
    result.failed.push(`${what}: ${errorText(error)}`)
  }
}
