import { readFile } from "node:fs/promises"
import { createSecureContext, getCACertificates, type SecureContext } from "node:tls"
import { errorText } from "../core/error-text.ts"

// Making one takes as long as a whole request on a local network.
const contexts = new Map<string, SecureContext>()

/** What is trusted for a connection: Node's own certificates, and those of a PEM file beside them. An error as of `readTrusted`. */
export async function trustFor(caFile: string | undefined): Promise<SecureContext | Error> {
  const ca = caFile === undefined ? [] : await readTrusted(caFile)
  if (ca instanceof Error) return ca
  const extra = ca.at(-1) ?? ""
  const known = contexts.get(extra)
  if (known) return known
  try {
    const made = createSecureContext(extra === "" ? {} : { ca })
    contexts.set(extra, made)
    return made
  } catch (error) {
    return new Error(`caFile ${caFile} cannot be used: ${errorText(error)}`, { cause: error })
  }
}

/** The certificates that Node trusts and, last, those of a PEM file; an error, not thrown, where there are none to read. */
export async function readTrusted(caFile: string): Promise<string[] | Error> {
  try {
    const own = await readFile(caFile, "utf8")
    if (own.includes("-----BEGIN CERTIFICATE-----")) return [...getCACertificates(), own]
    return new Error(`caFile ${caFile} holds no certificate in PEM form`)
  } catch (error) {
    return new Error(`caFile cannot be read: ${errorText(error)}`, { cause: error })
  }
}
