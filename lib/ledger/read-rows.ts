import { readdir } from "node:fs/promises"
import { join } from "node:path"
import { errorText } from "../core/error-text.ts"
import { isMissing, remedyFor } from "./disk-error.ts"
import { linesOf, zipped } from "./lines.ts"
import { checkFolder, checkStream } from "./stream-name.ts"

/** A directory of streams. `name` is what people call it, `warn` hears of lines that are skipped. */
export type Place = { root: string; name: string; warn: (message: string) => void }

/** All rows of a stream; empty when it does not exist. What is no row is skipped, with one warning for all of it. */
export async function readRows({ root, name, warn }: Place, stream: string): Promise<unknown[]> {
  checkStream(stream)
  const rows: unknown[] = []
  const skipped: number[] = []
  const onDamage = (error: unknown) => {
    warn(
      `${stream} of the ledger ${name} is damaged after line ${rows.length}, and the rest skipped: ${errorText(error)}`,
    )
  }
  let number = 0
  try {
    for await (const lines of linesOf(join(root, stream), onDamage)) {
      for (const line of lines) {
        number++
        const row = line === "" ? undefined : parseRow(line)
        if (row) rows.push(row)
        else if (line !== "") skipped.push(number)
      }
    }
  } catch (error) {
    if (isMissing(error)) return []
    throw new Error(`cannot read ${stream} of the ledger ${name}: ${remedyFor(error)}`, { cause: error })
  }
  if (skipped.length > 0) warn(skippedText(stream, name, skipped))
  return rows
}

function skippedText(stream: string, name: string, [first, ...others]: number[]): string {
  const what = others.length > 0 ? `${others.length + 1} lines` : `line ${first}`
  const where = others.length > 0 ? `, the first is line ${first}` : ""
  const why = "no JSON object or array, perhaps the rest of a write that was cut off"
  return `skipped ${what} of ${stream} of the ledger ${name}${where}: ${why}: remove or repair it`
}

function parseRow(line: string): object | undefined {
  try {
    const row: unknown = JSON.parse(line)
    return typeof row === "object" && row !== null ? row : undefined
  } catch {
    return undefined // a torn or hand-edited line: the caller counts it
  }
}

/** The streams below a folder, in order, whether compressed or not; empty when there is no such folder. */
export async function listStreams(place: Place, folder: string): Promise<string[]> {
  const names = (await listFiles(place, folder)).map((file) => (file.endsWith(zipped) ? file.slice(0, -3) : file))
  return [...new Set(names)].sort()
}

/** The files of streams below a folder, with their endings. */
export async function listFiles({ root, name }: Place, folder: string): Promise<string[]> {
  checkFolder(folder)
  const entries = await readdir(join(root, folder), { recursive: true, withFileTypes: true }).catch(
    (error: unknown) => {
      if (isMissing(error)) return []
      throw new Error(`cannot list ${folder} of the ledger ${name}: ${remedyFor(error)}`, { cause: error })
    },
  )
  // By name alone: what is no file but has the name of one is told by whoever reads it.
  const files = entries.filter((entry) => /\.jsonl(\.gz)?$/.test(entry.name))
  return files
    .map((entry) => join(entry.parentPath, entry.name).slice(join(root, "/").length))
    .filter((file) => !file.startsWith(".git/"))
}
