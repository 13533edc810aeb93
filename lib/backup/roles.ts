import { errorText } from "../core/error-text.ts"
import { type PostgresAddress, programEnvironment } from "../postgres/address.ts"
import { runProgram } from "../system/program.ts"
import { ProgramFailed } from "../system/program-failed.ts"

/** The cluster's roles as SQL without passwords, or why this role or server does not give them. */
export async function dumpRoles(
  pgDumpall: string,
  address: PostgresAddress,
  signal: AbortSignal,
): Promise<{ sql: string } | { reason: string }> {
  try {
    const { stdout } = await runProgram(
      pgDumpall,
      ["--roles-only", "--no-role-passwords", "--no-password", `--database=${address.database}`],
      {
        env: programEnvironment(address),
        signal,
        timeoutMs: 120_000,
      },
    )
    return { sql: stdout }
  } catch (error) {
    if (error instanceof ProgramFailed) return { reason: errorText(error) }
    throw error
  }
}
