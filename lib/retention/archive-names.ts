import { createHash } from "node:crypto"

/** Keys of the three objects of one part, and of the mark of a part that was given up. */
export type PartKeys = { rows: string; manifest: string; receipt: string; abandoned: string }

/** A part as its keys name it. */
export type PartName = { folder: string; number: number }

const root = "archives"
const longestWord = 60

/** Where all archives of a database are. */
export function archivePrefix(database: string): string {
  return `${root}/${database}/`
}

/** Where the archives of a rule are. Names that a store might not take, or takes for others, get a piece of their hash. */
export function rulePrefix(database: string, rule: string): string {
  return `${archivePrefix(database)}${plainWord(rule)}/`
}

/** The folder of one run: `archives/main/messages/2026-03-01T03-17-00Z-<run>`. */
export function runFolder(database: string, rule: string, slot: Date, run: string): string {
  const time = `${slot.toISOString().slice(0, 19).replaceAll(":", "-")}Z`
  return `${rulePrefix(database, rule)}${time}-${plainWord(run)}`
}

/** The slot that a folder's name says; `undefined` for a folder of another kind. */
export function slotOfFolder(folder: string): Date | undefined {
  const [, day, hours, minutes, seconds] = /\/(\d{4}-\d\d-\d\d)T(\d\d)-(\d\d)-(\d\d)Z-[^/]+$/.exec(folder) ?? []
  const slot = new Date(`${day}T${hours}:${minutes}:${seconds}Z`)
  return Number.isNaN(slot.getTime()) ? undefined : slot
}

export function partKeys({ folder, number }: PartName): PartKeys {
  const stem = `${folder}/part-${String(number).padStart(5, "0")}`
  return {
    rows: `${stem}.csv.zst.age`,
    manifest: `${stem}.json`,
    receipt: `${stem}.receipt.json`,
    abandoned: `${stem}.abandoned.json`,
  }
}

/** The part that an object belongs to; `undefined` for an object that belongs to none. */
export function partOfKey(key: string): PartName | undefined {
  const [, folder = "", digits] =
    /^(.+)\/part-(\d{5,9})\.(?:csv\.zst\.age|(?:receipt\.|abandoned\.)?json)$/.exec(key) ?? []
  return digits === undefined ? undefined : { folder, number: Number(digits) }
}

/** `text` itself where it is a plain word, else what is plain of it with a piece of its hash: no two texts share one. */
function plainWord(text: string): string {
  if (/^[a-zA-Z0-9][a-zA-Z0-9_-]*$/.test(text) && text.length <= longestWord && !/-[0-9a-f]{8}$/.test(text)) return text
  const plain = text
    .replaceAll(/[^a-zA-Z0-9]+/g, "-")
    .replaceAll(/^-|-$/g, "")
    .slice(0, longestWord)
  const hash = createHash("sha256").update(text).digest("hex").slice(0, 8)
  return `${plain || "x"}-${hash}`
}
