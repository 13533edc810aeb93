import { type Client, escapeIdentifier } from "pg"
import { errorText } from "../core/error-text.ts"
import type { OutsideFacts, Proof } from "./proof.ts"

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

/** Creates the tablespaces that tables and indexes ask for, inside the cluster's own folder. */
export async function makeTablespaces(client: Client, names: readonly string[]): Promise<void> {
  if (names.length > 0) await client.query("set allow_in_place_tablespaces = on")
  for (const name of names) await client.query(`create tablespace ${escapeIdentifier(name)} location ''`)
}

/** Creates the excluded schemas that anything of the dump lies in or refers to. They come before the first thing is restored. */
export async function makeSchemas(client: Client, { outside, excluded }: Proof): Promise<StandIns> {
  const result: StandIns = { made: [], failed: [] }
  const objects = [...outside.types, ...outside.relations, ...outside.functions]
  const needed = new Set([...outside.schemas, ...objects.map((object) => object.schema)])
  for (const schema of excluded.schemas.filter((name) => needed.has(name)))
    await attempt(client, result, `schema ${schema}`, `create schema ${escapeIdentifier(schema)}`)
  return result
}

/**
 * Creates what the dumped objects refer to and the configuration excludes, such as `auth.uid()` of a managed platform: types, tables
 * without rows, and functions that answer null.
 */
export async function makeStandIns(client: Client, outside: OutsideFacts): Promise<StandIns> {
  const result: StandIns = { made: [], failed: [] }
  for (const { schema, name, definition } of outside.types) {
    const kind = /^as (enum )?\(/.test(definition) ? "type" : "domain"
    await attempt(client, result, `type ${schema}.${name}`, `create ${kind} ${named(schema, name)} ${definition}`)
  }
  for (const relation of outside.relations) {
    const { schema, name } = relation
    await attempt(client, result, `table ${schema}.${name}`, await tableStatement(client, relation))
  }
  for (const { schema, name, arguments: list, result: answer, volatility } of outside.functions) {
    const sql = `create function ${named(schema, name)}(${list}) returns ${answer} language plpgsql ${volatility} as 'begin ${answerOf(answer)}; end'`
    await attempt(client, result, `function ${schema}.${name}(${list})`, sql)
  }
  return result
}

/** A column whose type is not there, since the dump does not hold it either, becomes text. */
async function tableStatement(client: Client, relation: OutsideFacts["relations"][number]): Promise<string> {
  const { schema, name, columns, primaryKey } = relation
  const { rows } = await client.query(
    "select ord, case when to_regtype(regexp_replace(type, '\\(.*\\)', '')) is null then 'text' else type end as type from unnest($1::text[]) with ordinality t (type, ord) order by ord",
    [columns.map((column) => column.type)],
  )
  const parts = columns.map((column, at) => `${escapeIdentifier(column.name)} ${String(rows[at]?.type)}`)
  if (primaryKey.length > 0) parts.push(`primary key (${primaryKey.map(escapeIdentifier).join(", ")})`)
  return `create table ${named(schema, name)} (${parts.join(", ")})`
}

function named(schema: string, name: string): string {
  return `${escapeIdentifier(schema)}.${escapeIdentifier(name)}`
}

function answerOf(result: string): string {
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
