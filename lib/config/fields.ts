import { z } from "zod"
import { parseDuration } from "../core/duration.ts"
import { isSettingName, isSettingRef, type SecretRef, type SettingRef, type VariableRef } from "./setting-ref.ts"

/*
 * The kinds of setting. The error of each is what the setting takes, as the end of a sentence:
 * "databases.main.backup.rpoHours is "26h": it takes a number of hours, 1 or more, such as 26".
 */

/** A group of settings. Of an unknown key the error is the list of the known ones, for "did you mean". */
export function section<Shape extends z.core.$ZodLooseShape>(shape: Shape) {
  const keys = Object.keys(shape)
  return z.strictObject(shape, {
    error: (issue) => (issue.code === "unrecognized_keys" ? keys.join(" ") : `the settings { ${keys.join(", ")} }`),
  })
}

/** Entries under names of the team's choice. Names become parts of object keys and subjects. */
export function named<Value extends z.ZodType>(value: Value) {
  const name = z.string().regex(/^[a-z][a-z0-9-]{0,39}$/, nameRule)
  return z.record(name, value, { error: "entries under names, such as { main: { … } }" })
}

const nameRule = "a name of small letters, digits and hyphens, at most 40, that begins with a letter"

/** A name as `named` takes it, where another part of the configuration refers to it. */
export function nameOf(what: string) {
  return z.string({ error: `the name of ${what}` }).min(1, `the name of ${what}`)
}

export function list<Item extends z.ZodType>(item: Item, what: string) {
  return z.array(item, { error: `a list of ${what}` })
}

export function text(what: string) {
  return z.string({ error: what }).refine((value) => value.trim() !== "", what)
}

export function matching(pattern: RegExp, what: string) {
  return z.string({ error: what }).regex(pattern, what)
}

/** The name of a column as the catalogue has it: neither quoted nor folded. */
export function columnName() {
  return matching(/^\S(?:.*\S)?$/u, "the name of a column")
}

/** The name of a table, with its schema before a dot where that is not `public`. Names with dots in them cannot be said. */
export function tableName() {
  return matching(/^[^.\s][^.]*(?:\.[^.\s][^.]*)?$/u, "the name of a table, with its schema where that is not public")
}

export function choice<const Values extends readonly [string, ...string[]]>(values: Values) {
  return z.enum(values, { error: values.map((value) => `"${value}"`).join(" or ") })
}

/** A number in a closed range; whole unless `what` says otherwise. */
export function whole(min: number, max: number, what: string) {
  const error = `${what}, a whole number from ${min} to ${max}`
  return z.int({ error }).min(min, error).max(max, error)
}

export function fraction(min: number, max: number, what: string) {
  const error = `${what}, a number from ${min} to ${max}`
  return z.number({ error }).min(min, error).max(max, error)
}

export function number(what: string) {
  return z.number({ error: what })
}

export type Duration = { text: string; ms: number }

/** A length of time as a person writes it, such as `3 days`; the value keeps the text beside the milliseconds. */
export function duration() {
  const error = 'a length of time above 0 such as "90s", "20 minutes" or "3 days"'
  const parse = (text: string, context: z.RefinementCtx): Duration => {
    const ms = parseDuration(text)
    if (ms !== undefined && ms > 0) return { text, ms: Math.max(1, Math.round(ms)) }
    context.addIssue(error)
    return z.NEVER
  }
  return z.string({ error }).transform(parse).meta({ takes: 'a time such as "3 days"' })
}

/** A point in time, in ISO 8601; the value is a `Date`. */
export function instant() {
  const error = 'a time such as "2026-03-01T03:00Z"'
  const parse = (text: string, context: z.RefinementCtx): Date => {
    const value = new Date(text)
    if (/^\d{4}-\d\d-\d\dT\d\d:\d\d(:\d\d(\.\d+)?)?(Z|[+-]\d\d:\d\d)$/.test(text) && !Number.isNaN(value.getTime()))
      return value
    context.addIssue(error)
    return z.NEVER
  }
  return z.string({ error }).transform(parse).meta({ takes: "a time in ISO 8601" })
}

export function timeZone() {
  const error = "a time zone such as Europe/London"
  return z.string({ error }).refine(isTimeZone, error)
}

function isTimeZone(name: string): boolean {
  try {
    return new Intl.DateTimeFormat("en", { timeZone: name }).resolvedOptions().timeZone !== ""
  } catch {
    return false // RangeError: Intl knows no such zone
  }
}

/** A text that anybody may read, or the reference to one that nobody may. */
export function headerValue() {
  return z
    .union([z.string(), secretRef("API_TOKEN")], { error: 'a text or secret("API_TOKEN")' })
    .meta({ takes: 'a text or secret("API_TOKEN")' })
}

export function httpUrl() {
  return z.url({ protocol: /^https?$/, error: "a URL that begins with https:// or http://" }).meta({ takes: "a URL" })
}

export function secretRef(example: string) {
  return ref<SecretRef>(["secret"], `secret("${example}")`)
}

export function variableRef(example: string) {
  return ref<VariableRef>(["variable"], `variable("${example}")`)
}

export function secretOrVariableRef(example: string) {
  return ref<SettingRef>(["variable", "secret"], `variable("${example}") or secret("${example}")`)
}

function ref<Ref extends SettingRef>(kinds: readonly SettingRef["kind"][], call: string) {
  const isRef = (value: unknown) => isSettingRef(value) && kinds.includes(value.kind) && isSettingName(value.name)
  return z.custom<Ref>(isRef, { error: (issue) => refError(issue.input, kinds, call) }).meta({ takes: call })
}

function refError(input: unknown, kinds: readonly SettingRef["kind"][], call: string): string {
  if (!isSettingRef(input) || !kinds.includes(input.kind)) return call
  return `${call}: the name of a ${input.kind} in capitals with underscores, not beginning with GITHUB_, and never its value`
}
