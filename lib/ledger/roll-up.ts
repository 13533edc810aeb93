import { readFile, rm } from "node:fs/promises"
import { join } from "node:path"
import { promisify } from "node:util"
import { gzip } from "node:zlib"
import { errorText } from "../core/error-text.ts"
import { appendRows } from "./append-rows.ts"
import { addTallies, type DailyTally, keyOf, parseTallies, tallyDay, tallyRecord, tallyStream } from "./daily-tally.ts"
import { isMissing } from "./disk-error.ts"
import { unzip, zipped } from "./lines.ts"
import { readDay } from "./observations.ts"
import { listFiles, type Place, readRows } from "./read-rows.ts"
import { replaceFile } from "./replace-file.ts"
import { planRollUp, type RollUpStep } from "./roll-up-plan.ts"
import { readState, writeState } from "./state.ts"
import { thinRuns } from "./thin-runs.ts"

const compress = promisify(gzip)
const oldest = new Date(0)

/**
 * Compresses closed days, makes old observations daily tallies and thins old run lines, as far as that is due. Each step writes what
 * is new before it removes what is old, and readers of a half-done step count nothing twice. A step that fails is a warning.
 */
export async function rollUp(place: Place, now: Date): Promise<RollUpStep[]> {
  const state = await readState(place)
  const thinnedBefore = state.thinnedBefore ? new Date(state.thinnedBefore) : oldest
  const steps = planRollUp(await listFiles(place, ""), now, thinnedBefore)
  let thinnedLast: Date | undefined
  for (const step of steps) {
    try {
      await acts[step.act](place, step)
      if (step.act === "thin") thinnedLast = step.day
    } catch (error) {
      place.warn(`cannot ${step.act} ${step.stream} of the ledger ${place.name}: ${errorText(error)}`)
    }
  }
  if (thinnedLast) await writeState(place, { ...state, thinnedBefore: dayAfter(thinnedLast) })
  return steps
}

/** `rollUp` for whoever adds rows: these are safe by now, and what is wrong with older files must not make them look lost. */
export async function rollUpIfDue(place: Place, now: Date | undefined): Promise<void> {
  try {
    if (now) await rollUp(place, now)
  } catch (error) {
    place.warn(`cannot roll up the ledger ${place.name}: ${errorText(error)}`)
  }
}

const acts = { zip: zipStream, tally: tallyStreamOfDay, thin: thinStream }

async function zipStream({ root }: Place, { stream }: RollUpStep): Promise<void> {
  const path = join(root, stream)
  await writeZipped(path, await wholeText(path))
}

async function thinStream({ root }: Place, { stream }: RollUpStep): Promise<void> {
  const path = join(root, stream)
  const lines = (await wholeText(path)).toString("utf8").split("\n")
  await writeZipped(path, Buffer.from(`${thinRuns(lines).join("\n")}\n`))
}

async function writeZipped(path: string, text: Uint8Array): Promise<void> {
  await replaceFile(path + zipped, await compress(text, { level: 9 }))
  await rm(path, { force: true })
}

/** Everything that a stream's files hold, once, ending with a newline. */
async function wholeText(path: string): Promise<Buffer> {
  const closed = await unzip(path + zipped).catch(missingIsEmpty)
  const added = await readFile(path).catch(missingIsEmpty)
  const isLeftOver = closed.subarray(-added.length || closed.length).equals(added)
  return isLeftOver ? closed : Buffer.concat([closed, added, endOfLine(added)])
}

function endOfLine(text: Buffer): Buffer {
  return Buffer.from(text.at(-1) === 0x0a ? "" : "\n")
}

function missingIsEmpty(error: unknown): Buffer {
  if (isMissing(error)) return Buffer.alloc(0)
  throw error
}

/**
 * A tally that is there already is that of an attempt that was cut off before the rows were removed, or of rows before these came
 * late: the first is the same, the second is added to.
 */
async function tallyStreamOfDay(place: Place, { stream, day }: RollUpStep): Promise<void> {
  const rows = await readRows(place, stream)
  const tallies = tallyDay(day, readDay(rows, day))
  if (tallies.length === 0 && rows.some(Array.isArray)) throw new Error("none of its rows can be read")
  const known = parseTallies(await readRows(place, tallyStream(day)))
  const records = tallies.map((tally) => tallyRecord(withKnown(tally, known.get(keyOf(tally)))))
  await appendRows(place, records)
  await rm(join(place.root, stream + zipped), { force: true })
  await rm(join(place.root, stream), { force: true })
}

function withKnown(tally: DailyTally, known: DailyTally | undefined): DailyTally {
  const isSame = known && JSON.stringify(tallyRecord(known)) === JSON.stringify(tallyRecord(tally))
  return known && !isSame ? addTallies(known, tally) : tally
}

function dayAfter(day: Date): string {
  return new Date(day.getTime() + 24 * 3600 * 1000).toISOString().slice(0, 10)
}
