import { formatDuration } from "../core/duration.ts"
import { formatBytes } from "../core/size.ts"
import type { Manifest } from "./manifest.ts"

const remedy =
  "raise jobMinutes on a runner of your own, or use the provider's point-in-time recovery beside a smaller, excluded backup"

/** A dump that took less time tells of fixed costs and not of a rate. */
const tellingMs = 10_000

/** Why a database cannot be dumped in the time there is, judged by the rate of the set before; `undefined` when it can. Pure. */
export function tooLargeForTime(
  databaseBytes: number,
  previous: Manifest | undefined,
  jobMinutes: number,
): string | undefined {
  if (!previous) return undefined
  const { dump, proof } = previous.durationsMs // side by side; the total holds waiting for locks as well
  const workMs = Math.max(dump, proof)
  if (workMs < tellingMs || previous.totals.databaseBytes === 0) return undefined
  const bytesPerMs = previous.totals.databaseBytes / workMs
  const expectedMs = databaseBytes / bytesPerMs
  if (expectedMs <= jobMinutes * 60_000) return undefined
  const rate = `${formatBytes(bytesPerMs * 1000)}/s`
  return `the database has ${formatBytes(databaseBytes)}: at the last backup's ${rate} that takes about ${formatDuration(expectedMs)}, and the job has ${jobMinutes} min: ${remedy}`
}

/** A rate that was measured for less time says little. */
const measuredMs = 60_000

/** Why a dump under way will not end in the time there is, at the rate so far; `undefined` when it will or cannot be told yet. Pure. */
export function forecastTimeUp(
  dump: { doneBytes: number; databaseBytes: number; elapsedMs: number },
  jobMinutes: number,
): string | undefined {
  const { doneBytes, databaseBytes, elapsedMs } = dump
  if (elapsedMs < measuredMs || doneBytes === 0) return undefined
  const expectedMs = (databaseBytes / doneBytes) * elapsedMs
  if (expectedMs <= jobMinutes * 60_000) return undefined
  const rate = `${formatBytes((doneBytes / elapsedMs) * 1000)}/s`
  return `at ${rate} the ${formatBytes(databaseBytes)} of the database take about ${formatDuration(expectedMs)}, and the job has ${jobMinutes} min: ${remedy}`
}

/** What is said when the time was up. */
export function timeUpText(jobMinutes: number): string {
  return `the backup did not end within its ${jobMinutes} min: ${remedy}`
}
