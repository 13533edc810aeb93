import { mkdir, writeFile } from "node:fs/promises"
import { dirname, join } from "node:path"
import { gzipSync } from "node:zlib"
import type { Observation } from "../../../lib/core/observation.ts"
import type { LedgerRecord } from "../../../lib/ledger/ledger.ts"
import { observationRecords } from "../../../lib/ledger/observations.ts"

const everyMs = 5 * 60 * 1000
const looksADay = 288
const services = Array.from({ length: 20 }, (_, n) => (n % 3 === 0 ? `service-with-a-long-name-${n}` : `svc${n}`))

/** Writes a day of 20 services that are looked at every 5 minutes, as appends would have left it, without their cost. */
export async function fillDay(root: string, day: Date, { isClosed }: { isClosed: boolean }): Promise<void> {
  const random = seeded(day.getTime() / 1000)
  const records: LedgerRecord[] = []
  for (let look = 0; look < looksADay; look++) {
    const at = new Date(day.getTime() + look * everyMs + Math.floor(random() * 20_000))
    records.push(...observationRecords(services.map((service, n) => lookAt(service, n, at, random))))
  }
  await writeStream(root, records, isClosed)
}

/** Latencies with a long tail around a level of each service, as networks have them; one look in 500 finds it down. */
function lookAt(service: string, n: number, at: Date, random: () => number): Observation {
  const seen = { at, service, by: "health" } as const
  const version = `2026.11.${at.getUTCDate()}-${service}`
  if (random() < 0.002) return { ...seen, outcome: "fail", totalMs: 10_000, tries: 3, class: "timeout at first byte" }
  const latencyMs = Math.round((60 + 15 * n) * Math.exp(0.35 * normal(random)))
  return { ...seen, outcome: "ok", latencyMs, totalMs: latencyMs + Math.round(random() * 20), status: 200, version }
}

/** Writes the records of one stream, headers once and first of all. */
export async function writeStream(root: string, records: readonly LedgerRecord[], isClosed: boolean): Promise<void> {
  const headers = new Set(records.flatMap(({ headers = [] }) => headers.map((header) => JSON.stringify(header))))
  const text = `${[...headers, ...records.map(({ row }) => JSON.stringify(row))].join("\n")}\n`
  const path = join(root, records[0]?.stream ?? "")
  await mkdir(dirname(path), { recursive: true })
  await (isClosed ? writeFile(`${path}.gz`, gzipSync(text, { level: 9 })) : writeFile(path, text))
}

function normal(random: () => number): number {
  return Math.sqrt(-2 * Math.log(1 - random())) * Math.cos(2 * Math.PI * random())
}

/** Mulberry32: the same numbers for the same seed. */
export function seeded(seed: number): () => number {
  let state = seed >>> 0
  return () => {
    state = (state + 0x6d2b79f5) >>> 0
    let mixed = Math.imul(state ^ (state >>> 15), state | 1)
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32
  }
}
