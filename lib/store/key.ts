const maxKeyBytes = 800
const maxNameBytes = 200

/** Throws when `key` is no plain relative path: it must mean the same object in a bucket and in a directory, and never leave the store. */
export function checkKey(key: string, store: string): void {
  const problem = key === "" ? "it is empty" : keyProblem(key)
  if (problem) throw new Error(`${JSON.stringify(key)} cannot be a key in ${store}: ${problem}`)
}

/** Throws when no key could start with `prefix`. An empty prefix and one that ends with `/` are fine. */
export function checkPrefix(prefix: string, store: string): void {
  const problem = prefix === "" ? undefined : keyProblem(prefix.replace(/\/$/, ""))
  if (problem) throw new Error(`${JSON.stringify(prefix)} cannot be a prefix in ${store}: ${problem}`)
}

/** Orders keys as S3 does: by their UTF-8 bytes. */
export function compareKeys(left: string, right: string): number {
  return Buffer.compare(Buffer.from(left), Buffer.from(right))
}

/** What makes `key` no plain relative path, or `undefined` when nothing does. */
export function keyProblem(key: string): string | undefined {
  if (!key.isWellFormed()) return "it is not valid unicode"
  // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what must not pass
  if (/[\u0000-\u001f\u007f\\]/.test(key)) return "it holds a control character or a backslash"
  if (Buffer.byteLength(key) > maxKeyBytes) return `it is longer than ${maxKeyBytes} bytes`
  for (const name of key.split("/")) {
    if (name === "") return "it starts or ends with a slash, or has two in a row"
    if (name === "." || name === "..") return `${name} is not allowed in it`
    if (Buffer.byteLength(name) > maxNameBytes) return `a part of it is longer than ${maxNameBytes} bytes`
  }
  return undefined
}
