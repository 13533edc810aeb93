import { createReadStream } from "node:fs"
import { writeFile } from "node:fs/promises"
import { join } from "node:path"
import type { Readable, Writable } from "node:stream"
import type { Log } from "../core/log.ts"
import { type PostgresAddress, programEnvironment } from "../postgres/address.ts"
import { type Identities, unsealStream } from "../seal/seal.ts"
import { every } from "../system/clock.ts"
import { largeBuffersEnvironment } from "../system/large-buffers.ts"
import { type RunningProgram, startProgram } from "../system/program.ts"
import { ProgramFailed } from "../system/program-failed.ts"
import { type ArchiveEntry, parseArchiveList, renderUseList } from "./archive.ts"

/** A sealed dump on this machine's disk. Its plain form exists only in pipes. */
export type SealedDump = { file: string; plainBytes: number }

/** What came out of a sealed dump when it was read to its end. */
export type PlainCounts = { plainBytes: number; plainSha256: string }

const progressMs = 250
const listLimitBytes = 512 * 1024 * 1024

/** The archive's table of contents. Reads no further than pg_restore wants to. */
export async function listArchive(
  pgRestore: string,
  dump: SealedDump,
  identities: Identities,
  signal: AbortSignal,
): Promise<ArchiveEntry[]> {
  const { plain } = unsealStream(createReadStream(dump.file, { signal }), identities)
  const program = startProgram(pgRestore, ["--list", "--verbose"], { stdin: "pipe", signal })
  const listing = collect(program.stdout)
  await feed(plain, program.stdin, "until closed").catch(async (error: unknown) => {
    await program.kill()
    throw error
  })
  const exit = await program.exited
  signal.throwIfAborted()
  if (exit.exitCode !== 0)
    throw new ProgramFailed(pgRestore, { ...exit, what: `cannot read the archive: ${program.stderr().trim()}` })
  return parseArchiveList(await listing)
}

export type RestoreOrder = {
  pgRestore: string
  dump: SealedDump
  identities: Identities
  address: PostgresAddress
  entries: readonly ArchiveEntry[]
  without: readonly ArchiveEntry[]
  workDir: string
  manner?: Manner
  log: Log
  signal: AbortSignal
}

/** `one transaction` stops at the first error and leaves nothing behind; else each entry stands for itself, and errors add up. */
export type Manner = "one transaction" | "entry by entry"

/**
 * Restores all entries but `without`. Returns every line that pg_restore complained with (it passes no notice of the server on, so
 * none is harmless), and what was read in all: the archive to its end, or, when the entries hold no data and the extent says so, no more
 * than pg_restore wanted. A transaction that failed is over: the rest of the archive is not read.
 */
export async function restoreArchive(
  order: RestoreOrder,
  extent: Extent = "to the end",
): Promise<{ complaints: string[]; counts?: PlainCounts }> {
  const complaints: string[] = []
  const program = await startRestore(order, (line) => complaints.push(line))
  const source = createReadStream(order.dump.file, { signal: order.signal })
  const { plain, counts } = unsealStream(source, order.identities)
  const progress = order.log.progress("restore", order.dump.plainBytes)
  const stopWatching = every(progressMs, () => progress.at(counts().plainBytes))
  let hasEnded = false
  try {
    hasEnded = await feed(
      plain,
      program.stdin,
      extent,
      order.manner === "one transaction" ? untilFailure(program) : undefined,
    )
  } catch (error) {
    await program.kill()
    throw error
  } finally {
    stopWatching()
    progress.done()
  }
  const exit = await program.exited
  order.signal.throwIfAborted()
  if (exit.exitCode !== 0 && complaints.length === 0)
    complaints.push(`pg_restore ended with exit code ${exit.exitCode ?? exit.killedBy}`)
  if (!hasEnded) return { complaints }
  const { plainBytes, plainSha256 } = counts()
  return { complaints, counts: { plainBytes, plainSha256 } }
}

async function startRestore(order: RestoreOrder, onComplaint: (line: string) => void): Promise<RunningProgram> {
  const list = join(order.workDir, "restore.list")
  await writeFile(list, renderUseList(order.entries, order.without), { mode: 0o600 })
  const args = [`--use-list=${list}`, "--no-password", `--dbname=${order.address.database}`]
  if (order.manner === "one transaction") args.push("--single-transaction")
  return startProgram(order.pgRestore, args, {
    env: { ...programEnvironment(order.address), ...(await largeBuffersEnvironment("stdin")) },
    stdin: "pipe",
    stdout: "ignore",
    signal: order.signal,
    onStderrLine: withoutRows((line) => {
      if (line.trim() !== "") onComplaint(line)
    }),
  })
}

/** Whether the program ended with an error by now. */
function untilFailure(program: RunningProgram): () => boolean {
  let hasFailed = false
  program.exited.then(
    ({ exitCode }) => {
      hasFailed = exitCode !== 0
    },
    () => undefined, // reaches whoever awaits it
  )
  return () => hasFailed
}

/**
 * Keeps out what the server says in detail: it quotes rows there, in the text of which are line ends, and who reads of a failed restore
 * may not be one who may read the backup.
 */
function withoutRows(onLine: (line: string) => void): (line: string) => void {
  let isDetail = false
  return (line) => {
    if (/^(DETAIL|CONTEXT): /.test(line)) isDetail = true
    else if (/^(pg_restore: |HINT: |Command was: )/.test(line)) isDetail = false
    if (!isDetail) onLine(line)
  }
}

type Extent = "until closed" | "to the end"

/**
 * Feeds a program, and says whether the source was read to its end. `to the end` reads on when the program has had enough: pg_restore
 * closes its input after the last block that it needs, and the bytes behind that must be seen too.
 */
async function feed(source: Readable, sink: Writable | null, extent: Extent, isOver = () => false): Promise<boolean> {
  if (!sink) throw new Error("the program has no input")
  let isOpen = true
  sink.once("error", () => {
    isOpen = false
  })
  for await (const chunk of source) {
    if (isOpen) await write(sink, chunk)
    if (isOver() || (!isOpen && extent === "until closed")) return false
  }
  if (isOpen) sink.end()
  return true
}

/**
 * Resolves when the program has the bytes, or will have none any more, and frees them: they are the decoder's own, nobody else reads them,
 * and left to the garbage collector they cost as much as the decoding.
 */
function write(sink: Writable, chunk: Uint8Array): Promise<void> {
  return new Promise((resolve) => {
    sink.write(chunk, () => {
      const { buffer } = chunk
      if (buffer instanceof ArrayBuffer && chunk.length === buffer.byteLength) buffer.transfer(0)
      resolve()
    })
  })
}

async function collect(source: Readable | null): Promise<string> {
  const chunks: Uint8Array[] = []
  let size = 0
  for await (const chunk of source ?? []) {
    chunks.push(chunk)
    size += chunk.length
    if (size > listLimitBytes) throw new Error(`the archive's table of contents has more than ${listLimitBytes} bytes`)
  }
  return Buffer.concat(chunks).toString("utf8")
}
