import { z } from "zod"

/*
 * What the settings of a rule say of each other. Read leniently: single settings may be wrong as well.
 */
const present = z.unknown().optional()
const name = z.string().optional().catch(undefined)
const cleanupRule = z
  .looseObject({
    name,
    action: name,
    column: present,
    olderThan: present,
    orphans: present,
    duplicates: present,
    stuck: present,
    where: present,
    set: present,
  })
  .nullable()
  .catch(null)
const threshold = z.looseObject({ action: name, set: present }).nullable().catch(null)
const decayRule = z
  .looseObject({
    name,
    halfLife: present,
    linear: present,
    steps: present,
    expression: present,
    base: present,
    floor: z.number().optional().catch(undefined),
    ceiling: z.number().optional().catch(undefined),
    thresholds: z.array(threshold).catch([]),
  })
  .nullable()
  .catch(null)
const shape = z.looseObject({
  cleanup: z.array(cleanupRule).catch([]),
  decay: z.array(decayRule).catch([]),
  archive: present,
  backup: present,
})

type CleanupRule = NonNullable<z.output<typeof cleanupRule>>
type DecayRule = NonNullable<z.output<typeof decayRule>>

/** Rules of a database whose settings need or exclude each other. `path` is the database's, such as `databases.main`. */
export function ruleProblems(path: string, database: unknown): string[] {
  const parsed = shape.safeParse(database)
  if (!parsed.success) return []
  const { cleanup, decay, archive, backup } = parsed.data
  const recipients = archive === undefined && backup === undefined ? `${path}.archive` : undefined
  return [
    ...cleanup.flatMap((rule, index) => (rule ? cleanupProblems(`${path}.cleanup[${index}]`, rule, recipients) : [])),
    ...repeatedNames(`${path}.cleanup`, cleanup),
    ...decay.flatMap((rule, index) => (rule ? decayProblems(`${path}.decay[${index}]`, rule, recipients) : [])),
    ...repeatedNames(`${path}.decay`, decay),
  ]
}

const selectors = ["olderThan", "orphans", "duplicates", "stuck"] as const

function cleanupProblems(at: string, rule: CleanupRule, missingRecipients: string | undefined): string[] {
  const { action, column, olderThan, stuck, where, set } = rule
  const problems = exactlyOne(at, rule, selectors, "which says which rows it finds")
  const ofPartitions = action === "drop" || action === "detach"
  const writing = action === "anonymise" || action === "set"
  if (column === undefined && (olderThan !== undefined || stuck !== undefined))
    problems.push(
      `${at}.column is missing: ${olderThan === undefined ? "stuck" : "olderThan"} needs the time that says how old a row is`,
    )
  if (ofPartitions && olderThan === undefined)
    problems.push(`${at}.olderThan is missing: the action "${action}" takes whole partitions that are old`)
  if (ofPartitions && where !== undefined)
    problems.push(
      `${at}.where cannot be used: the action "${action}" takes whole partitions, with every row in them; remove it, or use the action "delete"`,
    )
  if (writing && set === undefined)
    problems.push(`${at}.set is missing: the action "${action}" needs columns with values, such as { email: null }`)
  if (!writing && set !== undefined)
    problems.push(`${at}.set is not used: the action must be "anonymise" or "set" for it`)
  if (action === "archive" && missingRecipients !== undefined) problems.push(needsRecipients(at, missingRecipients))
  return problems
}

const shapes = ["halfLife", "linear", "steps", "expression"] as const

function decayProblems(at: string, rule: DecayRule, missingRecipients: string | undefined): string[] {
  const problems = exactlyOne(at, rule, shapes, "which says how the value fades")
  for (const needy of ["steps", "expression"] as const) {
    if (rule[needy] !== undefined && rule.base === undefined)
      problems.push(`${at}.base is missing: ${needy} needs the value at the time since, a column or a number`)
  }
  if (rule.floor !== undefined && rule.ceiling !== undefined && rule.floor > rule.ceiling)
    problems.push(`${at}.floor is ${rule.floor}, above the ceiling of ${rule.ceiling}: swap them`)
  rule.thresholds.forEach((threshold, index) => {
    const path = `${at}.thresholds[${index}]`
    if (threshold?.action === "mark" && threshold.set === undefined)
      problems.push(
        `${path}.set is missing: the action "mark" needs columns with values, such as { status: "spoiled" }`,
      )
    if (threshold && threshold.action !== "mark" && threshold.set !== undefined)
      problems.push(`${path}.set is not used: the action must be "mark" for it`)
    if (threshold?.action === "archive" && missingRecipients !== undefined)
      problems.push(needsRecipients(path, missingRecipients))
  })
  return problems
}

function needsRecipients(at: string, path: string): string {
  return `${path} is missing: ${at} archives rows, and nobody could open them; it takes { recipients: variable("BACKUP_RECIPIENTS") }`
}

function exactlyOne(at: string, rule: Record<string, unknown>, names: readonly string[], why: string): string[] {
  const given = names.filter((name) => rule[name] !== undefined)
  if (given.length === 1) return []
  const all = `${names.slice(0, -1).join(", ")} and ${names.at(-1)}`
  if (given.length === 0) return [`${at} has none of ${all}: it takes one of them, ${why}`]
  return [`${at} has ${given.join(" and ")}: it takes one of ${all}, ${why}`]
}

function repeatedNames(path: string, rules: readonly (CleanupRule | DecayRule | null)[]): string[] {
  const names = rules.map((rule) => rule?.name)
  return names.flatMap((name, index) =>
    name !== undefined && names.indexOf(name) < index
      ? [`${path}[${index}].name is ${JSON.stringify(name)} again: every rule has a name of its own`]
      : [],
  )
}
