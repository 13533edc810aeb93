import type { z } from "zod"
import { nearest } from "./nearest.ts"
import { isSettingRef } from "./setting-ref.ts"

const maxShown = 60

/**
 * One line for each thing that is wrong: path, what was found, what it takes. Values that may be secret are not shown.
 * `input` is what was parsed, `at` the path that all paths begin with.
 */
export function renderProblems(error: z.ZodError, input: unknown, at: readonly PropertyKey[] = []): string[] {
  return error.issues.flatMap((issue) => problemsOf(issue, input, at))
}

function problemsOf(issue: z.core.$ZodIssue, input: unknown, at: readonly PropertyKey[]): string[] {
  const path = renderPath([...at, ...issue.path])
  if (issue.code === "unrecognized_keys") return issue.keys.map((key) => unknownKey(issue, key, at))
  if (issue.code === "invalid_key") return [`${path} is not a good name: it takes ${issue.issues[0]?.message}`]
  const found = valueAt(input, issue.path)
  if (found === undefined) return [`${path} is missing: it takes ${issue.message}`]
  if (looksSecret(found, issue.message)) return [`${path} holds the value itself (not shown): ${remedy(issue.message)}`]
  return [`${path} is ${show(found)}: it takes ${issue.message}`]
}

/** The message of such an issue is the list of known keys (see `section`). */
function unknownKey(issue: z.core.$ZodIssueUnrecognizedKeys, key: string, at: readonly PropertyKey[]): string {
  const known = issue.message.split(" ")
  const close = nearest(key, known)
  const advice = close ? `did you mean ${close}?` : `known here: ${known.join(", ")}`
  return `${renderPath([...at, ...issue.path, key])} is no setting: ${advice}`
}

function remedy(takes: string): string {
  const advice = /^(?:secret|variable)\(/.test(takes) ? takes : 'secret("NAME")'
  return `put it into the repository's settings and write ${advice}, with its name, here`
}

/** `databases.main.assertions[0].sql` */
export function renderPath(path: readonly PropertyKey[]): string {
  if (path.length === 0) return "the configuration"
  return path
    .map((part, index) => (typeof part === "number" ? `[${part}]` : `${index > 0 ? "." : ""}${String(part)}`))
    .join("")
}

function valueAt(input: unknown, path: readonly PropertyKey[]): unknown {
  let value = input
  for (const part of path) {
    if (typeof value !== "object" || value === null) return undefined
    value = Reflect.get(value, part)
  }
  return value
}

/** A text where a reference belongs, or one that looks like a credential anywhere. */
function looksSecret(value: unknown, takes: string): boolean {
  const texts = isSettingRef(value) ? [value.name] : typeof value === "string" ? [value] : []
  if (texts.length > 0 && /^(?:secret|variable)\(/.test(takes))
    return !isSettingRef(value) || !/^\w{1,80}$/.test(value.name)
  return texts.some((text) => credential.test(text))
}

const credential =
  /:\/\/[^/\s]*@|hooks\.slack|AGE-SECRET-KEY|PRIVATE KEY|(?:AKIA|ASIA)[A-Z0-9]{12}|gh[a-z]_|xox[a-z]-|eyJ[\w-]{8}|password|[?&](?:token|key|sig\w*|secret)=|^[\w+/=-]{32,}$/i

function show(value: unknown): string {
  if (isSettingRef(value)) return `${value.kind}(${JSON.stringify(value.name)})`
  if (Array.isArray(value)) return "a list"
  if (typeof value === "object" && value !== null) return "a group of settings"
  if (typeof value === "function") return "a function"
  if (typeof value !== "string") return String(value)
  return JSON.stringify(value.length > maxShown ? `${value.slice(0, maxShown)}…` : value)
}
