import { errorText } from "../core/error-text.ts"
import { formatBytes } from "../core/size.ts"
import type { Manifest } from "./manifest.ts"

/** How Node and the programs of PostgreSQL say that this machine's disk is full; the last is of a write of which a part found room. */
const pattern =
  /(?:\S+ "[^"\n]*": )?(?:no space left on device|disk quota exceeded|wrote only \d+ of \d+ bytes at block \d+)/i

/** True for an error, or a line of a program, that is about this machine's disk and not about the backup. */
export function saysDiskFull(error: unknown): boolean {
  return pattern.test(errorText(error))
}

/** The error in words that say what to do when it is about a full disk; any other error as it is. */
export function explainDiskFull(error: unknown, { objects, totals }: Pick<Manifest, "objects" | "totals">): unknown {
  const said = pattern.exec(errorText(error))?.[0]
  if (said === undefined) return error
  const need = formatBytes(objects.dump.sealedBytes + totals.databaseBytes)
  return new Error(
    `the disk of this machine is full (${said}), and the backup was not judged: the test needs about ${need} and room for sorting: use a larger machine, or set TMPDIR to a larger disk`,
  )
}
