import type { Client } from "pg"
import { z } from "zod"
import { withTransaction } from "./transaction.ts"

/*
 * What must be atomic with the data lives beside it, in the schema `ops`. Tables are made when a job first needs them; they only
 * ever grow, so that an older checkout of this repository can go on working.
 */
const tables = {
  /** Up to which slot a decay rule was applied. One row a rule. */
  decay_watermark: `
    rule text primary key,
    applied_through timestamptz not null,
    definition text not null,
    run_id text not null,
    changed_at timestamptz not null default now()`,
  /** Rows that no rule may delete, move or anonymise. */
  legal_hold: `
    id bigint generated always as identity primary key,
    table_name text,
    row_key jsonb not null check (jsonb_typeof(row_key) = 'object' and row_key <> '{}'::jsonb),
    reason text not null,
    placed_by text not null default current_user,
    placed_at timestamptz not null default now(),
    until timestamptz,
    released_at timestamptz`,
  /** Parts of archives: what became of the rows that each holds. */
  archive_part: `
    id bigint generated always as identity primary key,
    rule text not null,
    table_name text not null,
    object_key text not null unique,
    state text not null check (state in ('writing', 'verified', 'deleted', 'closed', 'abandoned')),
    facts jsonb not null default '{}',
    run_id text not null,
    changed_at timestamptz not null default now()`,
  /** Parts of archives that were brought back, by the table that they were loaded into: loading one twice loads it once. */
  archive_load: `
    object_key text not null,
    table_oid oid not null,
    sealed_sha256 text not null,
    rows bigint not null,
    run_id text not null,
    loaded_at timestamptz not null default now(),
    primary key (object_key, table_oid)`,
} as const

export type OpsTable = keyof typeof tables

/** One transaction at a time may make them; any number that fits into 64 bits would do. */
const creationLock = 7_116_834_112

/**
 * Makes the schema `ops` and those of its tables that are missing. Any number of sessions may call it at once. Where the role may not, the
 * error has the statements that somebody else can run.
 */
export async function ensureOpsTables(client: Client, wanted: readonly OpsTable[]): Promise<void> {
  if ((await missingTables(client, wanted)).length === 0) return
  const statements = opsTableStatements(wanted)
  try {
    await withTransaction(client, { lockTimeoutMs: 10_000 }, async () => {
      await client.query("select pg_advisory_xact_lock($1)", [creationLock])
      // "if not exists" wants the right to make schemas even where there is nothing to make.
      if (await hasSchema(client)) statements.shift()
      for (const statement of statements) await client.query(statement)
    })
  } catch (cause) {
    if (!(cause instanceof Error && "code" in cause && cause.code === "42501")) throw cause
    const names = wanted.map((table) => `ops.${table}`).join(", ")
    const sql = [
      ...opsTableStatements(wanted),
      "grant usage on schema ops to <role>",
      `grant select, insert, update, delete on ${names} to <role>`,
    ]
    throw new Error(`this role may not make the schema ops: let its owner run: ${sql.join("; ")}`, { cause })
  }
}

async function hasSchema(client: Client): Promise<boolean> {
  const { rows } = await client.query("select to_regnamespace('ops') is not null as there")
  return z.object({ there: z.boolean() }).parse(rows[0]).there
}

/** Which of the tables are not there yet. A dry run asks this and makes none. */
export async function missingTables(client: Client, wanted: readonly OpsTable[]): Promise<OpsTable[]> {
  const { rows } = await client.query(
    "select name from unnest($1::text[]) name where to_regclass('ops.' || name) is null",
    [wanted],
  )
  const missing = z.array(z.object({ name: z.string() })).parse(rows)
  return wanted.filter((table) => missing.some(({ name }) => name === table))
}

/** The statements that make them, in order, each on one line. */
export function opsTableStatements(wanted: readonly OpsTable[]): string[] {
  const line = (sql: string) => sql.replaceAll(/\s+/g, " ").trim()
  return [
    "create schema if not exists ops",
    ...wanted.map((table) => line(`create table if not exists ops.${table} (${tables[table]})`)),
  ]
}
