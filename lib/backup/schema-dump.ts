import { type PostgresAddress, programEnvironment } from "../postgres/address.ts"
import { runProgram } from "../system/program.ts"
import { ProgramFailed } from "../system/program-failed.ts"
import type { Excluded } from "./proof.ts"
import { normalizeSchemaText } from "./schema-text.ts"

const schemaLimitBytes = 512 * 1024 * 1024

export type SchemaDump = {
  /** The whole schema as pg_dump writes it, without what differs between two equal databases. */
  text: string
  /** What pg_dump warned of: that it left something out, mostly. */
  warnings: string[]
}

export type SchemaDumpOptions = { excluded: Excluded; snapshot?: string; signal: AbortSignal }

/** Dumps the schema alone, as UTF-8 where its texts can be had as that, else in the bytes that they are stored in. */
export async function dumpSchema(
  pgDump: string,
  address: PostgresAddress,
  options: SchemaDumpOptions,
): Promise<SchemaDump> {
  try {
    return await runDump(pgDump, address, options, ["--encoding=UTF8"])
  } catch (error) {
    if (error instanceof ProgramFailed && /byte sequence/.test(error.message)) return runDump(pgDump, address, options)
    throw error
  }
}

async function runDump(
  pgDump: string,
  address: PostgresAddress,
  { excluded, snapshot, signal }: SchemaDumpOptions,
  extra: readonly string[] = [],
): Promise<SchemaDump> {
  const args = ["--schema-only", "--no-password", ...excludeArguments(excluded), ...extra]
  if (snapshot) args.push(`--snapshot=${snapshot}`)
  const { stdout, stderr } = await runProgram(pgDump, args, {
    env: programEnvironment(address),
    signal,
    maxOutputBytes: schemaLimitBytes,
  })
  const warnings = stderr.split("\n").filter((line) => line.startsWith("pg_dump: warning: "))
  return { text: normalizeSchemaText(stdout), warnings }
}

/** pg_dump reads patterns; quoted, a name stands for itself. */
export function excludeArguments(excluded: Excluded): string[] {
  const quoted = (name: string) => `"${name.replaceAll('"', '""')}"`
  const tables = excluded.tables.map((table) => {
    const dot = table.indexOf(".")
    return `--exclude-table=${quoted(table.slice(0, dot))}.${quoted(table.slice(dot + 1))}`
  })
  return [...excluded.schemas.map((schema) => `--exclude-schema=${quoted(schema)}`), ...tables]
}
