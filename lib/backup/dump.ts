import type { Log } from "../core/log.ts"
import { formatBytes } from "../core/size.ts"
import { type PostgresAddress, programEnvironment } from "../postgres/address.ts"
import type { Recipients } from "../seal/recipients.ts"
import { heldUntil, sealStream } from "../seal/seal.ts"
import type { Store } from "../store/store.ts"
import { every, startTimer } from "../system/clock.ts"
import { largeBuffersEnvironment } from "../system/large-buffers.ts"
import { peakMemoryBytes } from "../system/memory.ts"
import { openPipe } from "../system/pipe.ts"
import { startProgram } from "../system/program.ts"
import type { StoredObjectFacts } from "./manifest.ts"
import type { Excluded } from "./proof.ts"
import { excludeArguments } from "./schema-dump.ts"
import { objectNames } from "./set.ts"
import { forecastTimeUp } from "./time-limit.ts"

export type DumpOrder = {
  pgDump: string
  address: PostgresAddress
  /** The exported snapshot that the dump shows. */
  snapshot: string
  excluded: Excluded
  recipients: Recipients
  compressionLevel: number
  store: Store
  key: string
  /** Size of the database: an upper bound in practice, for the choice of part sizes and for progress. */
  expectedBytes: number
  /** How long the whole backup may take. */
  jobMinutes: number
  log: Log
  signal: AbortSignal
}

const lockWaitTimeout = 60_000
const progressMs = 250

/**
 * pg_dump -> zstd -> age -> store, without plaintext on disk. The end of the stream is held back until pg_dump has exited with 0:
 * the last chunk of the sealed file does not exist before, and the store publishes nothing but whole objects.
 */
export async function dumpSealed(order: DumpOrder): Promise<StoredObjectFacts> {
  const env = {
    ...programEnvironment(order.address, "nightshift/backup"),
    ...(await largeBuffersEnvironment("stdout")),
  }
  const pipe = await openPipe()
  const args = [
    "--format=custom",
    "--compress=0",
    "--no-password",
    `--snapshot=${order.snapshot}`,
    `--lock-wait-timeout=${lockWaitTimeout}`,
  ]
  const program = startProgram(order.pgDump, [...args, ...excludeArguments(order.excluded)], {
    env,
    stdout: pipe.writeFd,
    signal: order.signal,
    onStderrLine: (line) => order.log.info(line),
  })
  pipe.closeWriteEnd()
  const { sealed, counts } = sealStream(heldUntil(pipe.output, program.succeeded()), order.recipients, {
    level: order.compressionLevel,
  })
  const progress = order.log.progress("dump", order.expectedBytes)
  const warn = warnOfTimeUp(order)
  const stopWatching = every(progressMs, () => {
    progress.at(counts().plainBytes)
    warn(counts().plainBytes)
  })
  try {
    const stored = await order.store.put(order.key, sealed, {
      contentType: "application/octet-stream",
      expectedBytes: order.expectedBytes,
      signal: order.signal,
    })
    const { plainBytes, plainSha256, sealedBytes, sealedSha256 } = counts()
    if (stored.sizeBytes !== sealedBytes || stored.sha256 !== sealedSha256) {
      throw new Error(`${order.key}: ${sealedBytes} bytes were sealed and ${stored.sizeBytes} bytes stored`)
    }
    const sizes = `${formatBytes(plainBytes)} of dump sealed to ${formatBytes(sealedBytes)}`
    order.log.info(`${sizes}; peak memory of this process ${formatBytes(peakMemoryBytes())}`)
    return { name: objectNames.dump, plainBytes, plainSha256, sealedBytes, sealedSha256 }
  } finally {
    stopWatching()
    progress.done()
    await program.kill()
  }
}

/** Says once, as soon as the rate tells, that the job's time will not do: better than to learn it when the time is up. */
function warnOfTimeUp({ log, expectedBytes, jobMinutes }: DumpOrder): (doneBytes: number) => void {
  const elapsed = startTimer()
  let isSaid = false
  return (doneBytes) => {
    if (isSaid) return
    const text = forecastTimeUp({ doneBytes, databaseBytes: expectedBytes, elapsedMs: elapsed() }, jobMinutes)
    if (text === undefined) return
    isSaid = true
    log.warn(text)
  }
}
