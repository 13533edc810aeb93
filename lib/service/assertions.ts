import type { ServiceConfig } from "../config/service-schema.ts"
import { errorText } from "../core/error-text.ts"
import { printable, printableValue } from "./body-text.ts"
import { matchesPattern, patternChars } from "./http-pattern.ts"

type Expectation = NonNullable<ServiceConfig["expect"]>
export type JsonAssertion = Expectation["json"][number]
export type HeaderAssertion = Expectation["headers"][number]

/** Where a value was found: `path` in the words of the assertion, or narrower; `location` as keys from the root. */
type Found = { path: string; location: readonly (string | number)[]; value: unknown }
type Selection = { found: Found[]; isSingle: boolean }

/**
 * The first assertion that does not hold of a JSON value, in words that name the path, what was expected, and what was found;
 * `undefined` when all hold. Of a path with several values each must hold; `length` of such a path counts them.
 */
export async function failedJsonAssertion(
  value: unknown,
  assertions: readonly JsonAssertion[],
): Promise<string | undefined> {
  for (const assertion of assertions) {
    const selection = await select(value, assertion.path)
    const problem = typeof selection === "string" ? selection : problemOf(selection, assertion)
    if (problem !== undefined) return `${printable(assertion.path, 80)}: ${problem}`
  }
  return undefined
}

const telling: ReadonlySet<JsonAssertion["is"]> = new Set(["=", "!=", "matches", "contains"])

/** Whether one of the assertions is about what is found at `member` (keys joined by `/`) or below: that it merely exists is not. */
export async function isAssertedAbout(
  value: unknown,
  assertions: readonly JsonAssertion[],
  member: string,
): Promise<boolean> {
  for (const { path, is } of assertions) {
    if (!telling.has(is)) continue
    const selection = await select(value, path)
    if (typeof selection === "string") continue
    if (selection.found.some(({ location }) => `${location.join("/")}/`.startsWith(`${member}/`))) return true
  }
  return false
}

/** The first header assertion that does not hold, without the value that came; `undefined` when all hold. */
export function failedHeaderAssertion(
  headers: Readonly<Record<string, string>>,
  assertions: readonly HeaderAssertion[],
): string | undefined {
  for (const { name, is, value } of assertions) {
    const found = headers[name.toLowerCase()]
    const problem = found === undefined ? absent(is) : compare(is, found, value)
    if (problem === undefined) continue
    const expected = value === undefined ? is : `${is} ${printableValue(value)}`
    const reason =
      typeof problem === "string" ? problem : found === undefined ? "it is missing" : "it is there, but otherwise"
    return `header ${printable(name, 80)}: expected ${expected}, ${reason}`
  }
  return undefined
}

let jsonPaths: Promise<typeof import("json-p3")> | undefined

/** json-p3 is loaded here, and once, since few services need it. */
async function select(value: unknown, path: string): Promise<Selection | string> {
  jsonPaths ??= import("json-p3")
  const { compile, JSONPointer } = await jsonPaths
  try {
    if (path.startsWith("$")) {
      const query = compile(path)
      const found = query
        .query(value as never)
        .nodes.map(({ location, value }) => ({ path: at(path, location), location, value }))
      return { found, isSingle: query.singularQuery() }
    }
    if (path !== "" && !path.startsWith("/"))
      return 'it is no path: begin it with "$." (JSONPath) or "/" (JSON Pointer)'
    const pointer = new JSONPointer(path)
    const location = path
      .split("/")
      .slice(1)
      .map((part) => part.replaceAll("~1", "/").replaceAll("~0", "~"))
    const found = pointer.exists(value as never) ? [{ path, location, value: pointer.resolve(value as never) }] : []
    return { found, isSingle: true }
  } catch (error) {
    return `the path cannot be used (${printable(errorText(error))})`
  }
}

function at(path: string, location: readonly (string | number)[]): string {
  const own = `$${location.map((key) => (typeof key === "number" ? `[${key}]` : `.${key}`)).join("")}`
  return own === path ? path : own
}

function problemOf({ found, isSingle }: Selection, { is, value }: JsonAssertion): string | undefined {
  const expected = value === undefined ? is : `${is} ${printableValue(value)}`
  if (is === "missing") return found[0] && `expected nothing there, found ${printableValue(found[0].value)}`
  if (!isSingle && is.startsWith("length")) {
    return compare(
      is,
      found.map((one) => one.value),
      value,
    ) === undefined
      ? undefined
      : `expected ${expected}, found ${found.length} values`
  }
  if (found.length === 0) return `expected ${expected}, found nothing there`
  for (const one of found) {
    const problem = compare(is, one.value, value)
    if (problem === undefined) continue
    const where = isSingle ? "" : ` at ${printable(one.path, 80)}`
    const cut =
      is === "matches" && String(one.value).length > patternChars
        ? ` (looked at the first ${patternChars} characters)`
        : ""
    return `expected ${expected}, found ${printableValue(one.value)}${where}${cut}${typeof problem === "string" ? `: ${problem}` : ""}`
  }
  return undefined
}

function absent(is: HeaderAssertion["is"]): true | undefined {
  return is === "missing" ? undefined : true
}

/** `undefined` when it holds, a text when it cannot be compared, else `true`. */
function compare(is: JsonAssertion["is"], found: unknown, value: unknown): true | string | undefined {
  if (is === "exists") return undefined
  if (is === "missing") return true
  if (value === undefined) return "it needs a value to compare with"
  if (is === "=" || is === "!=") return holds((found === value) === (is === "="))
  if (is === "contains") return holds(contains(found, value))
  if (is === "matches") return matching(found, value)
  if (is.startsWith("length")) return ordered(is.slice("length".length), lengthOf(found), value)
  return ordered(is, found, value)
}

function holds(isTrue: boolean): true | undefined {
  return isTrue ? undefined : true
}

function contains(found: unknown, value: unknown): boolean {
  if (typeof found === "string") return found.includes(String(value))
  if (Array.isArray(found)) return found.includes(value)
  return typeof found === "object" && found !== null && Object.hasOwn(found, String(value))
}

function matching(found: unknown, value: unknown): true | string | undefined {
  if (typeof found === "object") return "a pattern is held against a text, a number, true or false"
  const answer = matchesPattern(String(value), String(found))
  return typeof answer === "string" ? answer : holds(answer)
}

function lengthOf(found: unknown): number | undefined {
  if (typeof found === "string") return [...found].length
  if (typeof found === "object" && found !== null) return Object.keys(found).length
  return undefined
}

/** Numbers with numbers, texts with texts (such as dates). */
function ordered(is: string, found: unknown, value: unknown): true | string | undefined {
  const isComparable = typeof found === typeof value && (typeof found === "number" || typeof found === "string")
  if (!isComparable) return "these cannot be compared"
  const [left, right] = [found as number, value as number]
  if (is === "<") return holds(left < right)
  if (is === ">") return holds(left > right)
  if (is === "<=") return holds(left <= right)
  if (is === ">=") return holds(left >= right)
  return holds(left === right)
}
