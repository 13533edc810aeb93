import { createRedactor } from "../system/redact.ts"
import { secretForms } from "../system/secret-forms.ts"

const redactor = createRedactor()

/** The text of a body by its byte order mark, else by the `charset` of its content type, else as UTF-8. Never throws. */
export function decodeBody(bytes: Uint8Array, contentType: string): string {
  const label = charsetOfMark(bytes) ?? /charset\s*=\s*"?([^\s;"]+)/i.exec(contentType)?.[1] ?? "utf-8"
  return decoderFor(label).decode(bytes)
}

function charsetOfMark([first, second, third]: Uint8Array): string | undefined {
  if (first === 0xef && second === 0xbb && third === 0xbf) return "utf-8"
  if (first === 0xff && second === 0xfe) return "utf-16le"
  return first === 0xfe && second === 0xff ? "utf-16be" : undefined
}

const utf8 = new TextDecoder()

function decoderFor(label: string): InstanceType<typeof TextDecoder> {
  if (/^utf-?8$/i.test(label)) return utf8
  try {
    return new TextDecoder(label)
  } catch {
    return utf8 // a charset that nobody knows
  }
}

/**
 * A body without what was sent to its server as a secret: servers quote it in their errors, and of words that are cut to a length no one
 * would know the half of it again.
 */
export function withoutSecrets(text: string, secrets: readonly string[]): string {
  const values = secrets.flatMap((secret) => [secret, secret.replace(/^[a-z]+ +/i, "")]) // `Bearer …`
  const forms = new Set(values.flatMap(secretForms))
  return [...forms].reduce((rest, form) => rest.replaceAll(form, "***"), text)
}

/**
 * Words of a foreign body as they may stand in a message: one line, printable, at most `max` characters, without passwords in
 * addresses, without queries, and without what looks like a secret.
 */
export function printable(text: string, max = 120): string {
  const line = text
    .slice(0, max * 8)
    .replaceAll(/[^\P{C}\n\t]/gu, "")
    .replaceAll(/\s+/g, " ")
    .trim()
  const clean = redactor
    .text(line)
    .replaceAll(/(\b[a-z][a-z0-9+.-]*:\/\/)[^\s/@]*@/gi, "$1")
    .replaceAll(/(\b[a-z][a-z0-9+.-]*:\/\/[^\s?"']*)\?[^\s"']*/gi, "$1")
  const characters = [...clean]
  return characters.length > max ? `${characters.slice(0, max - 1).join("")}…` : clean
}

/** A value as JSON writes it, cut as `printable` does. */
export function printableValue(value: unknown, max = 80): string {
  return printable(JSON.stringify(value) ?? "nothing", max)
}

/** Whether a body is a page for people. */
export function isHtml(text: string, contentType: string): boolean {
  return /^\s*text\/html|application\/xhtml/i.test(contentType) || /^\s*(<!doctype html|<html[\s>])/i.test(text)
}

/** The value of a JSON text; `undefined` when it is none. */
export function parseJson(text: string): { value: unknown } | undefined {
  try {
    return { value: JSON.parse(text) }
  } catch {
    return undefined
  }
}
