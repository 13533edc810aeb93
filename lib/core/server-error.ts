/**
 * What a Postgres server says in an error, without what it repeats of rows; `undefined` for errors of any other kind. Errors about data
 * (class 22) quote the value, in the quotation marks of the server's language; functions of the team may raise any text, under any code.
 * Those about constraints (class 23) name the constraint and keep the values to their DETAIL, which is nowhere taken.
 * Classes: https://www.postgresql.org/docs/current/errcodes-appendix.html
 */
export function serverErrorText(error: unknown): string | undefined {
  const code = field(error, "code")
  if (!(error instanceof Error) || !sqlState.test(code)) return undefined
  const isRaised = /^(?:P0|38|39)/.test(code) || field(error, "routine").startsWith("exec_stmt_")
  if (isRaised || ofLanguage.test(field(error, "file")))
    return `a trigger or function of the database raised an error (${code}): its text is in the server's log`
  if (!code.startsWith("22")) return error.message
  return error.message
    .replace(quoted, '"…"')
    .replace(/(?:0x[\da-f]{2}\s*)+/gi, "… ")
    .trim()
}

/** Codes of the operating system, which have five letters as well, begin with E. */
const sqlState = /^(?:\d\w|F0|HV|P0|XX)\w{3}$/

/** Source files of languages in which functions are written. */
const ofLanguage = /^(?:pl_|plpy|plperl|pltcl|plv8|plr)/

/** From the first quotation mark to the last: a value may have some of its own. */
const quoted = /["“”„«»‘’‚「」].*["“”„«»‘’‚「」]/s

function field(error: unknown, name: string): string {
  if (!(error instanceof Error) || !(name in error)) return ""
  const value: unknown = Reflect.get(error, name)
  return typeof value === "string" ? value : ""
}
