import { readFile } from "node:fs/promises"
import { rootCertificates } from "node:tls"
import { errorText } from "../core/error-text.ts"

/** The certificates of a PEM file beside those that Node trusts; an error, not thrown, where there are none to read. */
export async function readTrusted(caFile: string): Promise<string[] | Error> {
  try {
    const own = await readFile(caFile, "utf8")
    if (own.includes("-----BEGIN CERTIFICATE-----")) return [...rootCertificates, own]
    return new Error(`caFile ${caFile} holds no certificate in PEM form`)
  } catch (error) {
    return new Error(`caFile cannot be read: ${errorText(error)}`, { cause: error })
  }
}
