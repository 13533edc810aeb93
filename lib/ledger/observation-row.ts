import type { Observation } from "../core/observation.ts"
import type { Outcome } from "../core/outcome.ts"

const outcomes: readonly Outcome[] = ["ok", "warn", "fail", "unknown"]
const observers: readonly Observation["by"][] = ["health", "keep-warm"]

/**
 * The header of a file of observations. Columns are only ever added at the end: rows of an older version under a newer header are
 * then short, and no row is read under the wrong name. Cells of `outcome` and `by` are places in the lists.
 */
export const columns = {
  columns: [
    ...["second", "service", "outcome", "by", "latencyMs", "totalMs", "status"],
    ...["version", "numbers", "class", "tries", "isCold", "inMaintenance", "cause"],
  ],
  outcome: outcomes,
  by: observers,
}

const longestPlainWord = 6

/**
 * The positional row of an observation, and a header for each word that the row writes in short. An absent cell is null, and those at
 * the end are left out.
 */
export function encodeObservation(observation: Observation, day: Date): { row: unknown[]; words: Word[] } {
  const words: Word[] = []
  const short = (text: string | undefined) => {
    if (text === undefined || (text.length <= longestPlainWord && !text.startsWith("~"))) return text
    const as = aliasOf(text)
    words.push({ word: text, as })
    return as
  }
  const row = [
    Math.floor((observation.at.getTime() - day.getTime()) / 1000),
    short(observation.service),
    outcomes.indexOf(observation.outcome),
    observers.indexOf(observation.by),
    observation.latencyMs,
    observation.totalMs,
    observation.status,
    short(observation.version),
    observation.numbers,
    short(observation.class),
    observation.tries,
    observation.isCold ? 1 : undefined,
    observation.inMaintenance ? 1 : undefined,
    short(observation.cause),
  ]
  const end = row.findLastIndex((cell) => cell !== undefined) + 1
  return { row: row.slice(0, end).map((cell) => cell ?? null), words }
}

/** A dictionary entry: in the rows below, `as` stands for `word`. */
export type Word = { word: string; as: string }

/** The same for a word wherever and whenever it is written, so that writers need not agree: FNV-1a, 32 bits. */
function aliasOf(word: string): string {
  let hash = 0x811c9dc5
  for (const byte of new TextEncoder().encode(word)) hash = Math.imul(hash ^ byte, 0x01000193) >>> 0
  return `~${hash.toString(36)}`
}

type Cells = Record<string, unknown>

/**
 * Reads the rows of one UTC day's file from its beginning: a row becomes an observation, a header is kept for the rows below it, and
 * both a header and a row that is no observation give `undefined`. Columns that nobody here knows are passed over.
 */
export function createRowReader(day: Date): (row: unknown) => Observation | undefined {
  const words = new Map<string, string>()
  let cellOf = cellReader(columns, words)
  return (row) => {
    if (Array.isArray(row)) return toObservation(row, cellOf, day)
    if (!isObject(row)) return undefined
    if (Array.isArray(row.columns)) cellOf = cellReader(row, words)
    if (typeof row.word === "string" && typeof row.as === "string") words.set(row.as, row.word)
    return undefined
  }
}

type CellReader = (row: readonly unknown[], name: string) => unknown

/** Finds the cell of a column under this header, with the word that it stands for. Each name is looked up once, not for each row. */
function cellReader(header: Cells, words: ReadonlyMap<string, string>): CellReader {
  const names = Array.isArray(header.columns) ? header.columns : []
  const places = new Map(names.map((name: unknown, index) => [name, { index, list: header[String(name)] }]))
  return (row, name) => {
    const place = places.get(name)
    const cell = place && row[place.index]
    if (typeof cell === "string") return words.get(cell) ?? cell
    return typeof cell === "number" && Array.isArray(place?.list) ? place.list[cell] : cell
  }
}

function toObservation(row: readonly unknown[], cellOf: CellReader, day: Date): Observation | undefined {
  const second = cellOf(row, "second")
  const service = cellOf(row, "service")
  const outcome = oneOf(outcomes, cellOf(row, "outcome"))
  const by = oneOf(observers, cellOf(row, "by"))
  if (typeof second !== "number" || !(second >= 0 && second < 86_400)) return undefined
  if (typeof service !== "string" || !outcome || !by) return undefined
  const observation: Observation = { at: new Date(day.getTime() + second * 1000), service, by, outcome }
  for (const name of numberColumns) {
    const value = cellOf(row, name)
    if (typeof value === "number") observation[name] = value
  }
  for (const name of wordColumns) {
    const value = cellOf(row, name)
    if (typeof value === "string") observation[name] = value
  }
  for (const name of claimColumns) if (cellOf(row, name) === 1) observation[name] = true
  const numbers = cellOf(row, "numbers")
  if (isObject(numbers)) addNumbers(observation, numbers)
  return observation
}

const numberColumns = ["latencyMs", "totalMs", "status", "tries"] as const
const wordColumns = ["class", "cause", "version"] as const
const claimColumns = ["isCold", "inMaintenance"] as const

function oneOf<T>(values: readonly T[], value: unknown): T | undefined {
  const index = (values as readonly unknown[]).indexOf(value)
  return values[index]
}

function addNumbers(observation: Observation, cells: Cells): void {
  const numbers = Object.entries(cells).filter((entry): entry is [string, number] => Number.isFinite(entry[1]))
  if (numbers.length > 0) observation.numbers = Object.fromEntries(numbers)
}

function isObject(value: unknown): value is Cells {
  return typeof value === "object" && value !== null && !Array.isArray(value)
}
