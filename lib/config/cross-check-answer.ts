import { z } from "zod"

const assertion = z
  .looseObject({ path: z.unknown(), name: z.unknown(), is: z.unknown(), value: z.unknown() })
  .partial()
  .nullable()
  .catch(null)
const assertions = z.array(assertion).default([]).catch([])
const shape = z.looseObject({
  method: z.unknown().optional(),
  headers: z.record(z.string(), z.unknown()).default({}).catch({}),
  expect: z.looseObject({ json: assertions, headers: assertions, text: z.unknown() }).partial().default({}).catch({}),
})

const headerName = /^[!#$%&'*+.^_`|~0-9a-z-]+$/i

/** Headers that belong to the connection: the client sets them itself. */
const ownHeaders = ["connection", "content-length", "expect", "keep-alive", "transfer-encoding", "upgrade"]

/** Names that no header may have, and values that would end the line. */
export function headerProblems(path: string, input: unknown): string[] {
  const parsed = shape.safeParse(input)
  if (!parsed.success) return []
  const { headers, expect } = parsed.data
  return [
    ...Object.entries(headers).flatMap(([name, value]) => headerProblem(`${path}.headers`, name, value)),
    ...(expect.headers ?? []).flatMap((one, index) =>
      typeof one?.name === "string" && !headerName.test(one.name)
        ? [`${path}.expect.headers[${index}].name is ${JSON.stringify(one.name)}: it takes the name of a header`]
        : [],
    ),
  ]
}

function headerProblem(path: string, name: string, value: unknown): string[] {
  if (!headerName.test(name)) return [`${path} has ${JSON.stringify(name)}, which is no name of a header`]
  if (ownHeaders.includes(name.toLowerCase())) return [`${path}.${name} is set by the client itself: remove it`]
  const isBroken = typeof value === "string" && /[^\t\x20-\x7e\x80-\xff]/.test(value)
  return isBroken ? [`${path}.${name} has a character that no header takes, such as a line break: remove it`] : []
}

/** Assertions without the value that they need, with one that they cannot use, or with a pattern that does not compile. */
export function assertionProblems(path: string, input: unknown): string[] {
  const parsed = shape.safeParse(input)
  if (!parsed.success) return []
  const { method, expect } = parsed.data
  const problems = (["json", "headers"] as const).flatMap((key) =>
    (expect[key] ?? []).flatMap((one, index) => (one ? assertionProblem(`${path}.expect.${key}[${index}]`, one) : [])),
  )
  const needsBody = expect.text !== undefined || (expect.json ?? []).length > 0
  if (method === "HEAD" && needsBody)
    problems.push(`${path}.method is HEAD, whose answer has no body to expect anything of: use GET`)
  return problems
}

function assertionProblem(
  at: string,
  { path, is = "exists", value }: NonNullable<z.output<typeof assertion>>,
): string[] {
  const problems: string[] = []
  if (typeof path === "string" && path !== "" && !/^[$/]/.test(path)) {
    problems.push(
      `${at}.path is ${JSON.stringify(path)}: it takes a JSONPath that begins with $ or a JSON Pointer that begins with /`,
    )
  }
  if (is === "exists" || is === "missing") {
    if (value !== undefined) problems.push(`${at}.value is not used by ${is}: remove it, or compare with is: "="`)
    return problems
  }
  if (value === undefined) return [...problems, `${at}.value is missing: ${String(is)} needs something to compare with`]
  const isLength = /^length.$/.test(String(is))
  const isOrder = /^[<>]=?$/.test(String(is))
  if ((isLength && typeof value !== "number") || (isOrder && typeof value !== "number" && typeof value !== "string")) {
    problems.push(
      `${at}.value is ${JSON.stringify(value)}: ${is} takes a number${isOrder ? " or a text, such as a date" : ""}`,
    )
  }
  if (is === "matches") problems.push(...patternProblem(at, value))
  return problems
}

function patternProblem(at: string, value: unknown): string[] {
  if (typeof value !== "string")
    return [`${at}.value is ${JSON.stringify(value)}: matches takes a regular expression as a text`]
  try {
    new RegExp(value)
    return []
  } catch (error) {
    return [`${at}.value is no regular expression: ${error instanceof Error ? error.message : String(error)}`]
  }
}
