const minLength = 6

/**
 * Every text under which a secret may appear in an output: itself, its lines, URL-encoded, JSON-escaped, in base64 at
 * each byte alignment, and the secret parts inside it (the password of a connection string, the path of a webhook).
 * Nothing shorter than 6 characters: hiding those would hide ordinary words.
 */
export function secretForms(secret: string): string[] {
  const forms = new Set<string>()
  for (const part of secretParts(secret)) {
    for (const form of encodingsOf(part.toWellFormed())) if (form.length >= minLength) forms.add(form)
  }
  return [...forms]
}

/** What must be hidden, as it is: the secret, its lines and the secret parts inside it, without what is too short. */
export function secretParts(secret: string): string[] {
  return [...new Set(partsOf(secret))].filter((part) => part.length >= minLength && !/^\**$/.test(part))
}

function* partsOf(secret: string): Generator<string> {
  yield secret
  for (const line of secret.split(/[\r\n]+/)) yield line.trim()
  yield* urlParts(secret.trim())
  const keyword = /\bpassword\s*=\s*(?:'((?:[^'\\]|\\.)*)'|(\S+))/i.exec(secret)
  if (keyword) yield* [keyword[1] ?? keyword[2] ?? ""].flatMap((text) => [text, text.replace(/\\(.)/g, "$1")])
}

function* urlParts(secret: string): Generator<string> {
  const authority = /^[a-z][a-z0-9+.-]*:\/\/([^:/?#]*):(.+)@/is.exec(secret)
  // A password that equals the user name is public wherever the user is named; hiding it would only tell that it is the same.
  if (authority && authority[1] !== authority[2]) yield* withDecoded(authority[2] ?? "")
  const url = URL.parse(secret)
  if (!url) return
  if (url.password !== "" && url.password !== url.username) yield* withDecoded(url.password)
  for (const [name, value] of url.searchParams) if (/password|secret|token|key/i.test(name)) yield value
  if (url.protocol !== "https:" && url.protocol !== "http:") return
  const segments = url.pathname.split("/")
  for (const text of [url.pathname + url.search, url.pathname, segments.at(-1) ?? "", ...url.searchParams.values()]) {
    if (text.length >= 16) yield* withDecoded(text)
  }
}

function withDecoded(text: string): string[] {
  try {
    return [text, decodeURIComponent(text)]
  } catch {
    return [text] // a stray percent sign: the text is its own decoded form
  }
}

function* encodingsOf(text: string): Generator<string> {
  yield text
  yield text.trim()
  const strict = encodeURIComponent(text).replace(/[!'()*]/g, (c) => `%${c.charCodeAt(0).toString(16).toUpperCase()}`)
  for (const encoded of [encodeURI(text), encodeURIComponent(text), strict, userInfo(text), formField(text)]) {
    yield encoded
    yield encoded.replace(/%[0-9A-F]{2}/g, (hex) => hex.toLowerCase())
  }
  const json = escapeJson(text)
  yield* [json, escapeJson(json), asciiOnly(json)]
  yield text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;")
  for (const shift of [0, 1, 2]) yield* base64At(text, shift)
}

function userInfo(text: string): string {
  const url = new URL("http://user@host")
  url.password = text
  return url.password
}

function formField(text: string): string {
  return new URLSearchParams([["", text]]).toString().slice(1)
}

function escapeJson(text: string): string {
  return JSON.stringify(text).slice(1, -1)
}

function asciiOnly(text: string): string {
  return text.replace(/[\u0080-\uffff]/g, (c) => `\\u${c.charCodeAt(0).toString(16).padStart(4, "0")}`)
}

/** The characters of base64 and base64url that hold nothing but `text`, when `shift` bytes (of every three) precede it. */
function base64At(text: string, shift: number): string[] {
  const bytes = Buffer.concat([Buffer.alloc(shift), Buffer.from(text)])
  const encoded = bytes.toString("base64").slice(Math.ceil((shift * 8) / 6), Math.floor((bytes.length * 8) / 6))
  return [encoded, encoded.replaceAll("+", "-").replaceAll("/", "_")]
}
