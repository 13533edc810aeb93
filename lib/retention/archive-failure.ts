import { errorText } from "../core/error-text.ts"

/**
 * The text of an error without values of rows: the server repeats a value that it cannot take ("invalid input syntax", "out of range"), and
 * says in its context of a COPY in which line and column it stood.
 */
export function failureText(error: unknown): string {
  for (let at = error; at instanceof Error; at = at.cause) {
    if (!("code" in at && typeof at.code === "string" && /^22...$/.test(at.code))) continue
    const where = "where" in at && typeof at.where === "string" ? at.where : ""
    const [, line, column] = /, line (\d+)(?:, column ([^:]+))?/.exec(where) ?? []
    const place = line === undefined ? "" : ` in line ${line}${column === undefined ? "" : `, column ${column}`}`
    return `the server refuses a value${place} (SQLSTATE ${at.code}): ${withoutQuoted(at.message)}`
  }
  return errorText(error)
}

function withoutQuoted(message: string): string {
  return message.replace(/:? ".*$/s, "")
}
