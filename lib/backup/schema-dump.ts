import { type PostgresAddress, programEnvironment } from "../postgres/address.ts"
import { runProgram } from "../system/program.ts"
import type { Excluded } from "./proof.ts"
import { normalizeSchemaText } from "./schema-text.ts"

const schemaLimitBytes = 512 * 1024 * 1024

/** The whole schema as pg_dump writes it, without what differs between two equal databases. */
export async function dumpSchema(
  pgDump: string,
  address: PostgresAddress,
  options: { excluded: Excluded; snapshot?: string; signal: AbortSignal },
): Promise<string> {
  const args = ["--schema-only", "--no-password", ...excludeArguments(options.excluded)]
  if (options.snapshot) args.push(`--snapshot=${options.snapshot}`)
  const { stdout } = await runProgram(pgDump, args, {
    env: programEnvironment(address),
    signal: options.signal,
    maxOutputBytes: schemaLimitBytes,
  })
  return normalizeSchemaText(stdout)
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
