import { errorText } from "../core/error-text.ts"
import { secretForms } from "./secret-forms.ts"
import { secretFieldName, secretPatterns } from "./secret-patterns.ts"

/** What keeps secrets out of every output. All sinks of one run share one redactor. */
export type Redactor = {
  /** Hides this value, and the forms it may take, from now on. Values shorter than 6 characters are ignored. */
  add(secret: string): void
  /** The text with `***` for each secret in it. Idempotent; JSON stays JSON. */
  text(text: string): string
  /** The value as JSON would show it, with every string, number and key redacted. Errors become their text, bytes their length. */
  value<T>(value: T): T
}

type Span = { start: number; end: number }

const mask = "***"
const maxDepth = 32
const maxKnown = 1000
const maxKnownLength = 40

/** A redactor that knows no value yet; what is secret by its looks (see `secretPatterns`) it hides at once. */
export function createRedactor(): Redactor {
  const needles = new Set<string>()
  // Names of fields and words such as "ok" come thousands of times in a run, and every pattern looks at each.
  const known = new Map<string, string>()

  function text(text: string): string {
    const before = known.get(text)
    if (before !== undefined) return before
    const redacted = redact(text)
    if (text.length <= maxKnownLength && known.size < maxKnown) known.set(text, redacted)
    return redacted
  }

  function redact(text: string): string {
    const redacted = cover(text, [...knownSpans(text, needles), ...patternSpans(text)])
    if (redacted === text || !/^\s*["[{]/.test(text) || isJson(redacted) || !isJson(text)) return redacted
    return JSON.stringify(deep(JSON.parse(text), 0))
  }

  function deep(value: unknown, depth: number): unknown {
    if (typeof value === "string") return text(value)
    if (typeof value === "bigint") return text(String(value))
    if (typeof value === "number") return knownSpans(String(value), needles).length > 0 ? mask : value
    if (typeof value !== "object" || value === null) return value
    if (value instanceof Error) return text(errorText(value))
    if (ArrayBuffer.isView(value)) return `${value.byteLength} bytes`
    if (depth >= maxDepth) return "…"
    if ("toJSON" in value && typeof value.toJSON === "function") return deep(value.toJSON(), depth + 1)
    if (Array.isArray(value)) return value.map((item) => deep(item, depth + 1))
    return Object.fromEntries(Object.entries(value).map(([key, item]) => [text(key), field(key, item, depth + 1)]))
  }

  function field(key: string, value: unknown, depth: number): unknown {
    return typeof value === "string" && value !== "" && secretFieldName.test(key) ? mask : deep(value, depth)
  }

  return {
    add(secret) {
      known.clear()
      for (const form of secretForms(secret)) needles.add(form)
    },
    text,
    value: <T>(value: T) => deep(value, 0) as T,
  }
}

function knownSpans(text: string, needles: Iterable<string>): Span[] {
  const spans: Span[] = []
  for (const needle of needles) {
    for (let at = text.indexOf(needle); at >= 0; at = text.indexOf(needle, at + needle.length)) {
      spans.push({ start: at, end: at + needle.length })
    }
  }
  return spans
}

function patternSpans(text: string): Span[] {
  const spans: Span[] = []
  for (const pattern of secretPatterns) {
    // `matchAll` copies its pattern, which for a text without a secret takes longer than looking.
    pattern.lastIndex = 0
    if (!pattern.test(text)) continue
    pattern.lastIndex = 0
    for (const match of text.matchAll(pattern)) {
      const [start, end] = match.indices?.groups?.secret ?? [match.index, match.index + match[0].length]
      spans.push({ start, end })
    }
  }
  return spans
}

/** Spans are found in the untouched text and merged, so that of two overlapping secrets no part is left. */
function cover(text: string, spans: Span[]): string {
  if (spans.length === 0) return text
  const parts: string[] = []
  let done = 0
  let open: Span | undefined
  for (const span of spans.sort((a, b) => a.start - b.start)) {
    if (open && span.start <= open.end) {
      open.end = Math.max(open.end, span.end)
      continue
    }
    if (open) parts.push(text.slice(done, open.start), mask)
    done = open?.end ?? 0
    open = { ...span }
  }
  if (open) parts.push(text.slice(done, open.start), mask, text.slice(open.end))
  return parts.join("")
}

function isJson(text: string): boolean {
  try {
    JSON.parse(text)
    return true
  } catch {
    return false
  }
}
