import { createReadStream } from "node:fs"
import { type FileHandle, mkdir, open, readdir } from "node:fs/promises"
import { dirname, join } from "node:path"
import { fileURLToPath } from "node:url"
import { ConfigError } from "../core/config-error.ts"
import type { Ledger, LedgerRecord } from "./ledger.ts"
import { checkFolder, checkStream } from "./stream-name.ts"

const newline = 0x0a

/**
 * A ledger in a directory, `file:///absolute/path`, made with the first record. Several processes may append at once:
 * the rows of one call reach each file in a single write at its end, and are on disk when the call resolves.
 */
export function directoryLedger(url: string): Ledger {
  const root = rootOf(url)
  const name = `file://${root}`
  return {
    name,
    async append(records) {
      for (const [stream, lines] of groupByStream(records)) {
        await appendLines(join(root, stream), lines).catch((error: unknown) => {
          throw new Error(`cannot add to ${stream} of the ledger ${name}: ${remedyFor(error)}`, { cause: error })
        })
      }
    },
    async read(stream) {
      checkStream(stream)
      const rows: unknown[] = []
      try {
        for await (const { line, number } of linesOf(join(root, stream))) {
          if (line !== "") rows.push(parseRow(line, number))
        }
      } catch (error) {
        if (codeOf(error) === "ENOENT") return []
        throw new Error(`cannot read ${stream} of the ledger ${name}: ${remedyFor(error)}`, { cause: error })
      }
      return rows
    },
    async streams(folder) {
      checkFolder(folder)
      const entries = await readdir(join(root, folder), { recursive: true, withFileTypes: true }).catch(
        (error: unknown) => {
          if (codeOf(error) === "ENOENT") return []
          throw new Error(`cannot list ${folder} of the ledger ${name}: ${remedyFor(error)}`, { cause: error })
        },
      )
      const files = entries.filter((entry) => entry.isFile() && entry.name.endsWith(".jsonl"))
      return files.map((entry) => join(entry.parentPath, entry.name).slice(join(root, "/").length)).sort()
    },
  }
}

function rootOf(url: string): string {
  const parsed = URL.parse(url)
  if (parsed?.protocol !== "file:" || parsed.host !== "" || parsed.search !== "" || parsed.hash !== "") {
    throw new ConfigError(
      "LEDGER is not the URL of a directory: set it to file:///absolute/path, with ? and # written as %3F and %23",
    )
  }
  return fileURLToPath(parsed).replace(/(?<=.)\/+$/, "")
}

/** All names are checked and all rows are text before the first byte is written. */
function groupByStream(records: readonly LedgerRecord[]): Map<string, string[]> {
  const groups = new Map<string, string[]>()
  for (const { stream, row } of records) {
    checkStream(stream)
    const lines = groups.get(stream) ?? []
    groups.set(stream, lines)
    lines.push(JSON.stringify(row))
  }
  return groups
}

async function appendLines(path: string, lines: string[]): Promise<void> {
  const firstMade = await mkdir(dirname(path), { recursive: true })
  const file = await open(path, "a+")
  try {
    const { size } = await file.stat()
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

type Line = { line: string; number: number }

/** Lines end at a newline and nowhere else: JSON text may hold U+2028, which other readers take for one. */
async function* linesOf(path: string): AsyncGenerator<Line> {
  let number = 0
  let rest: string[] = []
  for await (const chunk of createReadStream(path, { encoding: "utf8", highWaterMark: 1 << 20 })) {
    const parts = String(chunk).split("\n")
    const last = parts.pop() ?? ""
    for (const part of parts) {
      yield { line: rest.join("") + part, number: ++number }
      rest = []
    }
    rest.push(last)
  }
  yield { line: rest.join(""), number: ++number }
}

function parseRow(line: string, number: number): unknown {
  let row: unknown
  try {
    row = JSON.parse(line)
  } catch (error) {
    throw new Error(`line ${number} is not JSON, perhaps the rest of a write that was cut off: remove or repair it`, {
      cause: error,
    })
  }
  if (typeof row === "object" && row !== null && !Array.isArray(row)) return row
  throw new Error(`line ${number} is not a JSON object: remove or repair it`)
}

const remedies: Record<string, string> = {
  EACCES: "permission denied: make it writable for this user, or set LEDGER to another directory",
  EPERM: "permission denied: make it writable for this user, or set LEDGER to another directory",
  EROFS: "the file system is read-only: set LEDGER to another directory",
  ENOSPC: "the disk is full: free space",
  EDQUOT: "the disk quota is used up: free space",
  ENOTDIR: "a part of its path is a file: set LEDGER to a directory",
  EEXIST: "a part of its path is a file: set LEDGER to a directory",
  EISDIR: "it is a directory: remove it",
}

function remedyFor(error: unknown): string {
  return remedies[codeOf(error)] ?? (error instanceof Error ? error.message : String(error))
}

function codeOf(error: unknown): string {
  return error instanceof Error && "code" in error ? String(error.code) : ""
}
