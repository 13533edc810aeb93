import { isWorseVerdict, type Verdict, verdictOfText, verdictOfWord } from "./health-body-words.ts"

export type JsonObject = Record<string, unknown>

/** A part of a service as its health body tells of it, in its own words; `component` by dotted names. */
export type ComponentVerdict = { component: string; verdict: Verdict; words?: string }

const maxDepth = 4
const maxComponents = 500

// `error` before `details`, which in Terminus has the same parts again
const containers = [
  ...["components", "checks", "services", "error", "dependencies", "entries", "details", "subsystems", "indicators"],
  ...["results", "info", "probes", "providers", "external_apis"],
]

/** Members around a whole answer. */
export const envelopes = ["data", "health", "result", "response"]

/** Names that say by themselves that a word beside them is the state of a part. */
const partName =
  /^(db|database|postgres(ql)?|mysql|mongo(db)?|redis|cache|queue|storage|smtp|mail(er)?|e-?mail|search|elasticsearch|api|web|worker|broker|kafka|rabbitmq|s3|disk|memory|supabase|stripe|twilio|llm|openai)$/i

/** The worst part that an object names, the innermost of nested ones; `undefined` when it names none with a state. */
export function worstComponent(root: JsonObject): ComponentVerdict | undefined {
  let worst: ComponentVerdict | undefined
  for (const part of componentsOf(root, "", 0)) {
    if (worst === undefined || isWorseVerdict(part.verdict, worst.verdict)) worst = part
  }
  return worst
}

/** What an object says of itself; `key` is the member that says it. */
export function ownVerdict(object: JsonObject): { verdict: Verdict; key: string } | undefined {
  for (const key of ["status", "state", "health", "overall", "overall_status", "overallStatus", "result"]) {
    const value = object[key]
    if (typeof value === "string" && verdictOfText(value).verdict !== "unknown")
      return { verdict: verdictOfText(value).verdict, key }
    if (typeof value === "string" && /^(unknown|)$/i.test(value)) return { verdict: "unknown", key }
    if (key === "status" && isObject(value) && typeof value.indicator === "string") {
      return { verdict: verdictOfIndicator(value.indicator), key }
    }
  }
  for (const key of ["healthy", "isHealthy", "is_healthy", "ok", "success", "ready", "alive", "up"]) {
    const value = object[key]
    if (typeof value === "boolean") return { verdict: value ? "ok" : "failing", key }
  }
  return undefined
}

/** Why it is so, where it says. */
export function reasonOf(object: JsonObject): string | undefined {
  for (const key of [
    "error",
    "message",
    "output",
    "description",
    "reason",
    "symptom",
    "exception",
    "detail",
    "details",
  ]) {
    const value = object[key]
    if (typeof value === "string" && verdictOfWord(value) === "unknown" && value.trim() !== "") return value
    if (isObject(value) && key !== "description") {
      const inner = [value.error, value.message].find((text) => typeof text === "string" && text.trim() !== "")
      if (typeof inner === "string") return inner
    }
  }
  return undefined
}

export function isObject(value: unknown): value is JsonObject {
  return typeof value === "object" && value !== null && !Array.isArray(value)
}

/** `none` means here that nothing is wrong. */
function verdictOfIndicator(indicator: string): Verdict {
  return indicator.toLowerCase() === "none" ? "ok" : verdictOfWord(indicator)
}

function* componentsOf(object: JsonObject, path: string, depth: number): Generator<ComponentVerdict> {
  if (depth > maxDepth) return
  for (const container of containers) {
    const value = object[container]
    if (isObject(value) || Array.isArray(value)) yield* partsOf(value, path, depth)
  }
  if (depth > 0) return
  for (const [name, value] of Object.entries(object)) {
    if (containers.includes(name) || envelopes.includes(name) || name === "status") continue
    const isPart = partName.test(name)
    if (isPart || (isObject(value) && ownVerdict(value))) yield* part(name, value, path, depth, isPart)
  }
}

function* partsOf(
  parts: JsonObject | unknown[],
  path: string,
  depth: number,
  isPart = true,
): Generator<ComponentVerdict> {
  const entries = Object.entries(parts).slice(0, maxComponents)
  for (const [key, value] of entries) {
    const name = Array.isArray(parts) ? nameOf(value, key) : key
    if (typeof value === "string" && reasonName.test(name)) continue
    yield* part(name, value, path, depth, isPart)
  }
}

function* part(
  name: string,
  value: unknown,
  path: string,
  depth: number,
  isPart: boolean,
): Generator<ComponentVerdict> {
  const component = path === "" ? name : `${path}.${name}`
  if (typeof value === "string") yield { component, ...verdictOfText(value) }
  if (typeof value === "boolean" && isPart && !flagName.test(name))
    yield { component, verdict: value ? "ok" : "failing" }
  // application/health+json has a list of measurements for each part; others a list of parts
  if (Array.isArray(value)) yield* listed(component, value, depth)
  if (!isObject(value)) return
  const own = ownVerdict(value)
  if (own) yield* innermost(component, own.verdict, value, depth)
  else if (depth < maxDepth) yield* partsOf(value, component, depth + 1, false) // a group of parts
}

/** The parts of a part that are as bad as it is itself, or the part. */
function* innermost(
  component: string,
  verdict: Verdict,
  value: JsonObject,
  depth: number,
): Generator<ComponentVerdict> {
  const inner = [...componentsOf(value, component, depth + 1)].filter((part) => part.verdict === verdict)
  if (verdict !== "ok" && inner.length > 0) return yield* inner
  const words = reasonOf(value)
  yield { component, verdict, ...(words !== undefined && { words }) }
}

function* listed(component: string, values: unknown[], depth: number): Generator<ComponentVerdict> {
  for (const value of values.slice(0, maxComponents)) {
    if (!isObject(value)) continue
    const name = nameOf(value, "")
    if (name === "") yield* part(component, value, "", depth, true)
    else yield* part(name, value, component, depth, true)
  }
}

/** What tells of the part around it, and is no part itself. */
const reasonName = /^(status|state|error|message|output|description|reason|symptom|exception|details?|type|kind|mode)$/i

/** Switches, which say nothing of health. */
const flagName = /enabled|required|critical|cached|optional|debug|^(is|has)[A-Z_]/

function nameOf(value: unknown, otherwise: string): string {
  return isObject(value) && typeof value.name === "string" ? value.name : otherwise
}
