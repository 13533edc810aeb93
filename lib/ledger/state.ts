import { readFile } from "node:fs/promises"
import { join } from "node:path"
import { z } from "zod"
import { dashboardSchema } from "./dashboard.ts"
import { isMissing, remedyFor } from "./disk-error.ts"
import type { Place } from "./read-rows.ts"
import { replaceFile } from "./replace-file.ts"

/** The file that says that a directory or a branch is a ledger, and keeps what its rows do not say. It may be lost at any time. */
export const stateFile = "ledger.json"

const stateSchema = z.object({
  format: z.literal(1),
  /** Run lines of earlier days are thinned. */
  thinnedBefore: z.iso.date().optional(),
  dashboard: dashboardSchema.optional(),
})

export type LedgerState = z.output<typeof stateSchema>

/** The state of a ledger; a new one when there is none, and with a warning when it cannot be read. */
export async function readState({ root, name, warn }: Place): Promise<LedgerState> {
  const text = await readFile(join(root, stateFile), "utf8").catch((error: unknown) => {
    if (isMissing(error)) return undefined
    throw new Error(`cannot read ${stateFile} of the ledger ${name}: ${remedyFor(error)}`, { cause: error })
  })
  if (text === undefined) return { format: 1 }
  const state = stateSchema.safeParse(parseJson(text))
  if (state.success) return state.data
  warn(`${stateFile} of the ledger ${name} cannot be read and is made anew`)
  return { format: 1 }
}

export async function writeState({ root }: Pick<Place, "root">, state: LedgerState): Promise<void> {
  await replaceFile(join(root, stateFile), `${JSON.stringify(state)}\n`)
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined // the schema refuses it
  }
}
