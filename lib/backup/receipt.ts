import { z } from "zod"

/** Levels of a restore test, in the order in which they are reached. */
export const levelNames = ["transport", "archive", "restore", "structure", "data", "integrity", "behaviour"] as const
export type LevelName = (typeof levelNames)[number]

const level = z.strictObject({
  outcome: z.enum(["passed", "passed with exceptions", "failed", "skipped"]),
  /** One line: what was compared, or why it was skipped. */
  detail: z.string(),
  /** Differences that fail the level, by name: at most 20 and then a count. */
  differences: z.array(z.string()),
  /** What was left out of the comparison, and why. */
  exceptions: z.array(z.string()),
})

export const receiptSchema = z.strictObject({
  format: z.literal("nightshift-receipt/1"),
  database: z.string(),
  set: z.string(),
  manifestSha256: z.string(),
  testedAt: z.iso.datetime(),
  run: z.string(),
  verdict: z.enum(["passed", "passed with exceptions", "failed"]),
  levels: z.strictObject({
    transport: level,
    archive: level,
    restore: level,
    structure: level,
    data: level,
    integrity: level,
    behaviour: level,
  }),
  scratch: z.strictObject({ version: z.string() }).optional(),
  timingsMs: z.strictObject({
    download: z.number(),
    decrypt: z.number(),
    restore: z.number(),
    verify: z.number(),
    /** What a real recovery would take: download, decrypt and restore, without the comparison. */
    recovery: z.number(),
    total: z.number(),
  }),
  objectives: z.strictObject({ rtoMinutes: z.number(), rpoHours: z.number(), ageHours: z.number() }),
  totals: z.strictObject({ tables: z.number(), rows: z.number() }).optional(),
})

/** The outcome of one restore test of one backup set. */
export type Receipt = z.infer<typeof receiptSchema>
export type Level = z.infer<typeof level>

const shownDifferences = 20

export function passed(detail: string, exceptions: readonly string[] = []): Level {
  const outcome = exceptions.length > 0 ? "passed with exceptions" : "passed"
  return { outcome, detail, differences: [], exceptions: shorten(exceptions) }
}

export function failed(detail: string, differences: readonly string[] = [], exceptions: readonly string[] = []): Level {
  return { outcome: "failed", detail, differences: shorten(differences), exceptions: shorten(exceptions) }
}

export function skipped(reason: string): Level {
  return { outcome: "skipped", detail: reason, differences: [], exceptions: [] }
}

/** Passed or failed by whether there are differences. */
export function judged(detail: string, differences: readonly string[], exceptions: readonly string[] = []): Level {
  return differences.length > 0 ? failed(detail, differences, exceptions) : passed(detail, exceptions)
}

/** The verdict over all levels: "passed" needs each of them to have been looked at, but for a team that asserts nothing. */
export function overallVerdict(levels: Receipt["levels"]): Receipt["verdict"] {
  const outcomes = levelNames.map((name) => levels[name].outcome)
  const isUnseen = levelNames.some((name) => name !== "behaviour" && levels[name].outcome === "skipped")
  if (isUnseen || outcomes.includes("failed")) return "failed"
  return outcomes.includes("passed with exceptions") ? "passed with exceptions" : "passed"
}

function shorten(differences: readonly string[]): string[] {
  if (differences.length <= shownDifferences) return [...differences]
  return [...differences.slice(0, shownDifferences), `and ${differences.length - shownDifferences} more`]
}
