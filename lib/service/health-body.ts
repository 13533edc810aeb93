import { isHtml, parseJson, printable } from "./body-text.ts"
import { envelopes, isObject, type JsonObject, ownVerdict, reasonOf, worstComponent } from "./health-body-components.ts"
import { numbersOf, versionOf } from "./health-body-numbers.ts"
import { isWorseVerdict, type Verdict, verdictOfWord } from "./health-body-words.ts"

/** What an answer says of the health of who gave it. */
export type HealthBody = {
  verdict: Verdict
  /** Where in a JSON answer the verdict is said, keys joined by `/`; without it the verdict is that of the worst component. */
  member?: string
  /** The worst component, when the verdict is not good. */
  component?: string
  /** How that component is: the whole may be degraded while a part of it fails. */
  componentVerdict?: Verdict
  /** Why, in its own words, at most 120 printable characters. */
  words?: string
  /** The version or commit that it names. */
  version?: string
  /** Numbers by their dotted path, at most 50. */
  numbers: Record<string, number>
}

const maxWordChars = 40

/**
 * Reads the usual formats: JSON with a status and components (Spring Actuator, application/health+json, ASP.NET, Terminus, Statuspage,
 * Elasticsearch and the like), plain words, the lists of Kubernetes, the green page of Rails. What the root says counts more than its
 * components. JSON that says nothing of health gives its numbers with the verdict `unknown`; any other text `undefined`. `wanted` are
 * paths of numbers that are given in any case.
 */
export function readHealthBody(
  text: string,
  contentType: string,
  wanted: readonly string[] = [],
): HealthBody | undefined {
  const trimmed = text.trim()
  if (trimmed === "") return undefined
  if (isHtml(trimmed, contentType)) return readPage(trimmed)
  const json = /^[[{"]/.test(trimmed) ? parseJson(trimmed) : undefined
  if (typeof json?.value === "string") return readPlain(json.value)
  if (Array.isArray(json?.value)) return readObject({ components: json.value }, numbersOf(json.value, wanted))
  if (isObject(json?.value)) return readObject(json.value, numbersOf(json.value, wanted))
  return json === undefined ? readPlain(trimmed) : undefined
}

function readObject(root: JsonObject, numbers: Record<string, number>): HealthBody {
  const version = versionOf(root)
  const rest = { ...(version !== undefined && { version }), numbers }
  const refusal = databaseRefusal(root)
  if (refusal) return { ...refusal, ...rest }
  const own = ownVerdict(root)
  const worst = worstComponent(root)
  if (!own && !worst) return readWrapped(root, rest) ?? { verdict: "unknown", ...rest }
  const inner = own && isOfRequest(root, own.key) ? readWrapped(root, rest) : undefined
  if (own && inner && isWorseVerdict(inner.verdict, own.verdict)) return inner
  const verdict = own?.verdict ?? worst?.verdict ?? "unknown"
  const member = own && { member: own.key }
  if (verdict === "ok" || verdict === "unknown") return { verdict, ...member, ...rest }
  const isNamed = worst !== undefined && (worst.verdict === "failing" || worst.verdict === "degraded")
  const words = (isNamed ? worst.words : undefined) ?? statusDescription(root) ?? reasonOf(root)
  return {
    verdict,
    ...member,
    ...(isNamed && { component: printable(worst.component, 60), componentVerdict: worst.verdict }),
    ...(words !== undefined && { words: printable(words) }),
    ...rest,
  }
}

/** `success` says that the question was answered, which is not yet how things are. */
function isOfRequest(root: JsonObject, key: string): boolean {
  return key === "success" || key === "ok" || String(root[key]).toLowerCase() === "success"
}

/** An envelope around the real answer. */
function readWrapped(root: JsonObject, rest: Pick<HealthBody, "version" | "numbers">): HealthBody | undefined {
  for (const key of envelopes) {
    const inner = root[key]
    if (!isObject(inner)) continue
    const body = readObject(inner, {})
    if (body.verdict === "unknown" && body.version === undefined) continue
    return {
      ...body,
      ...(body.member !== undefined && { member: `${key}/${body.member}` }),
      ...rest,
      version: rest.version ?? body.version,
    }
  }
  return undefined
}

/** Statuspage says in words what its indicator means. */
function statusDescription({ status }: JsonObject): string | undefined {
  return isObject(status) && typeof status.description === "string" ? status.description : undefined
}

// PostgREST cannot reach its database; Postgres' own codes for no connection, too many, shut down, starting, read-only
const databaseCodes = /^(PGRST00\d|08\w{3}|53\w{3}|57P0[1-5]|25006)$/

function databaseRefusal({ code, message }: JsonObject): Omit<HealthBody, "numbers"> | undefined {
  if (typeof code !== "string" || typeof message !== "string" || !databaseCodes.test(code)) return undefined
  return { verdict: "failing", member: "code", component: "database", words: printable(`${code}: ${message}`) }
}

/** Rails answers /up with a page that is all green, or all red. */
function readPage(text: string): HealthBody | undefined {
  const colour = /<body style="background-color:\s*(green|red);?"/i.exec(text.slice(0, 2000))?.[1]
  return colour === undefined ? undefined : { verdict: verdictOfWord(colour), member: "", numbers: {} }
}

function readPlain(text: string): HealthBody | undefined {
  if (/^\[[+-]\]/m.test(text)) return readChecklist(text)
  if (text.length > maxWordChars) return undefined
  const verdict = verdictOfWord(text.replace(/[.!]$/, ""))
  return verdict === "unknown" ? undefined : { verdict, member: "", numbers: {} }
}

/** The lists of Kubernetes: `[+]ping ok`, `[-]etcd failed: reason withheld`, `readyz check failed`. */
function readChecklist(text: string): HealthBody | undefined {
  const lines = text.split("\n", 1000)
  const bad = lines.map((line) => /^\[-\](\S+)\s*(.*)$/.exec(line)).find((match) => match !== null)
  const root = /^\S+ check (passed|failed)\s*$/m.exec(text)?.[1]
  const isBad = root === undefined ? bad !== undefined : root === "failed"
  if (!isBad) return { verdict: "ok", ...(root !== undefined && { member: "" }), numbers: {} }
  return {
    verdict: "failing",
    member: "",
    ...(bad && { component: printable(bad[1] ?? "", 60), words: printable(bad[2] ?? "") }),
    numbers: {},
  }
}
