import { createReadStream } from "node:fs"
import { type FileHandle, mkdir, open } from "node:fs/promises"
import { dirname, join } from "node:path"
import { remedyFor } from "./disk-error.ts"
import type { LedgerRecord } from "./ledger.ts"
import { splitLines } from "./lines.ts"
import type { Place } from "./read-rows.ts"
import { checkStream } from "./stream-name.ts"

const newline = 0x0a

/** A row as text, and the lines that must stand somewhere above it. */
type Entry = { line: string; headers: string[] }

/** Adds the rows at the end of their streams, in one write a stream, and resolves when they are on disk. */
export async function appendRows(
  { root, name }: Pick<Place, "root" | "name">,
  records: readonly LedgerRecord[],
): Promise<void> {
  for (const [stream, entries] of groupByStream(records)) {
    await appendEntries(join(root, stream), entries).catch((error: unknown) => {
      throw new Error(`cannot add to ${stream} of the ledger ${name}: ${remedyFor(error)}`, { cause: error })
    })
  }
}

/** All names are checked and all rows are text before the first byte is written. */
function groupByStream(records: readonly LedgerRecord[]): Map<string, Entry[]> {
  const groups = new Map<string, Entry[]>()
  for (const { stream, row, headers = [] } of records) {
    checkStream(stream)
    const entries = groups.get(stream) ?? []
    groups.set(stream, entries)
    entries.push({ line: JSON.stringify(row), headers: headers.map((header) => JSON.stringify(header)) })
  }
  return groups
}

async function appendEntries(path: string, entries: Entry[]): Promise<void> {
  const firstMade = await mkdir(dirname(path), { recursive: true })
  const file = await open(path, "a+")
  try {
    const { size } = await file.stat()
    const lines = await withMissingHeaders(path, size, entries)
    const text = `${lines.join("\n")}\n`
    const bytes = Buffer.from((await endsInsideLine(file, size)) ? `\n${text}` : text)
    const { bytesWritten } = await file.write(bytes)
    if (bytesWritten < bytes.length)
      throw new Error(`only ${bytesWritten} of ${bytes.length} bytes could be written: free disk space`)
    await file.sync()
    if (size === 0) await syncDirectories(dirname(path), firstMade)
  } finally {
    await file.close()
  }
}

/** The lines to write: each header that the file does not have yet comes before the first row that needs it. */
async function withMissingHeaders(path: string, size: number, entries: Entry[]): Promise<string[]> {
  const missing = new Set(entries.flatMap((entry) => entry.headers))
  if (missing.size > 0 && size > 0) {
    for await (const lines of splitLines(createReadStream(path, { encoding: "utf8", highWaterMark: 1 << 20 }))) {
      for (const line of lines) missing.delete(line)
      if (missing.size === 0) break
    }
  }
  return entries.flatMap(({ line, headers }) => [...headers.filter((header) => missing.delete(header)), line])
}

/** Whether a write was cut off by a crash: the next row must not be glued to its rest. */
async function endsInsideLine(file: FileHandle, size: number): Promise<boolean> {
  if (size === 0) return false
  const { buffer } = await file.read(Buffer.alloc(1), 0, 1, size - 1)
  return buffer[0] !== newline
}

/** A new file is found after a crash only when its directory, and each new one above, is on disk too. */
async function syncDirectories(dir: string, firstMade: string | undefined): Promise<void> {
  const handle = await open(dir, "r")
  try {
    await handle.sync()
  } finally {
    await handle.close()
  }
  if (firstMade !== undefined && dir.length >= firstMade.length) await syncDirectories(dirname(dir), firstMade)
}
