import { readFile } from "node:fs/promises"
import { createSecureContext, getCACertificates, type SecureContext } from "node:tls"

// Making one takes as long as a whole request on a local network.
const contexts = new Map<string, SecureContext>()

/** Certificates that are trusted: Node's own, and those of a PEM file beside them. Rejects when the file cannot be read. */
export async function trustFor(caFile: string | undefined): Promise<SecureContext> {
  const extra = caFile === undefined ? "" : await readFile(caFile, "utf8")
  const known = contexts.get(extra)
  if (known) return known
  const made = createSecureContext(extra === "" ? {} : { ca: [...getCACertificates(), extra] })
  contexts.set(extra, made)
  return made
}
