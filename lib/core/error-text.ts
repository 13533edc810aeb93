import { serverErrorText } from "./server-error.ts"

/**
 * The message of an error followed by the messages of its causes, in one line.
 * Says something for every thrown value; never a stack trace, and of what a database answered no values of rows.
 */
export function errorText(error: unknown): string {
  const parts: string[] = []
  let current = error
  for (let depth = 0; current !== undefined && current !== null && depth < 8; depth++) {
    const text = oneLine(messageOf(current))
    if (text !== "" && !parts.some((part) => part.includes(text))) parts.push(text)
    current = current instanceof Error ? current.cause : undefined
  }
  return parts.length > 0 ? parts.join(": ") : "unknown error"
}

/** The stack trace of an error, for logs: of what a database answered, its places alone behind the text of `errorText`. */
export function stackText(error: unknown): string | undefined {
  if (!(error instanceof Error) || error.stack === undefined) return undefined
  const answer = serverErrorText(error)
  if (answer === undefined) return error.stack
  const places = error.stack.split("\n").filter((line) => /^ {4}at .*:\d+:\d+\)?$/.test(line))
  return [`${error.name}: ${answer}`, ...places].join("\n")
}

function messageOf(error: unknown): string {
  if (error instanceof AggregateError) return [error.message, ...error.errors.map(messageOf)].filter(Boolean).join("; ")
  const answer = serverErrorText(error)
  if (answer) return answer
  if (error instanceof Error) return error.message || ("code" in error ? String(error.code) : error.name)
  return String(error)
}

function oneLine(text: string): string {
  return text.replace(/\s*[\r\n]+\s*/g, " ").trim()
}
