import { errorText } from "../core/error-text.ts"
import { formatBytes } from "../core/size.ts"
import { printable } from "./body-text.ts"
import type { FailureClass, Phase } from "./check.ts"
import { daysUntil, tellExpiry } from "./expiry.ts"
import { unpackFailed } from "./http-body.ts"
import type { BadCertificate } from "./http-connect.ts"
import type { Exchange } from "./http-exchange.ts"
import { codeOf, explainSocketError } from "./socket-failure.ts"

/** Why no whole answer came; `problem` is the end of a sentence that begins with the place. */
export type TransportFailure = { class: FailureClass; phase: Phase; problem: string }

type Broken = Extract<Exchange, { error: unknown }>

/** What an exchange that got no answer means. Time-outs are the caller's. */
export function explainBroken(broken: Broken, host: string, now: Date): TransportFailure {
  const { phase } = broken.progress
  if (broken.certificate)
    return { class: "certificate", phase: "tls", problem: tellCertificate(broken.certificate, host, now) }
  const code = codeOf(broken.error)
  const message = errorText(broken.error)
  if (message.startsWith(unpackFailed)) {
    return { class: "protocol", phase, problem: `${unpackFailed}: see whether content-encoding tells the truth` }
  }
  if (phase === "body" && isShort(broken)) return { class: "protocol", phase, problem: tellShort(broken) }
  if (code === "ERR_SSL_WRONG_VERSION_NUMBER") {
    return { class: "tls", phase, problem: "no TLS is spoken there: check whether the address should begin with http:" }
  }
  if (isParserError(broken.error)) return { class: "protocol", phase, problem: "what came is not HTTP" }
  if (isHttpCode(code)) return explainHttpError(code, message, phase)
  const { class: failureClass, problem } = explainSocketError(broken.error)
  const hint =
    failureClass === "unreachable" && isIpv6Only(broken.progress.addresses) ? ": it has IPv6 addresses only" : ""
  return { class: failureClass, phase, problem: `${problem}${hint}` }
}

function isParserError(error: unknown): boolean {
  return error instanceof Error && (error.name === "HTTPParserError" || isParserError(error.cause))
}

/** A reset is cut off too, and stays a reset. */
function isShort({ error, bytesRead, lengthBytes }: Broken): boolean {
  return codeOf(error) !== "ECONNRESET" && lengthBytes !== undefined && bytesRead < lengthBytes
}

function tellShort({ bytesRead, lengthBytes = 0 }: Broken): string {
  return `the answer ended after ${formatBytes(bytesRead)} of ${formatBytes(lengthBytes)}`
}

function isHttpCode(code: string): boolean {
  return code.startsWith("UND_ERR_") || code.startsWith("ERR_HTTP2_") || code.startsWith("ERR_HTTP_")
}

function explainHttpError(code: string, message: string, phase: Phase): TransportFailure {
  const isClosed = code === "UND_ERR_SOCKET" || /half-closed|stream closed|CANCEL|closed before/i.test(message)
  if (isClosed && phase !== "body")
    return { class: "reset", phase, problem: "the connection was closed without an answer" }
  if (isClosed) return { class: "protocol", phase, problem: "the answer ended too early" }
  if (code === "UND_ERR_HEADERS_OVERFLOW") return { class: "protocol", phase, problem: "its headers are too large" }
  return { class: "protocol", phase, problem: `it does not keep to HTTP (${code})` }
}

function isIpv6Only(addresses: readonly string[]): boolean {
  return addresses.length > 0 && addresses.every((address) => address.includes(":"))
}

function tellCertificate({ code, names, issuer, from, to }: BadCertificate, host: string, now: Date): string {
  const expiry = to === undefined ? "" : tellExpiry(to, daysUntil(to, now))
  const until = expiry === "" ? "" : `; it ${expiry}`
  const signer = printable(issuer, 80)
  if (code === "CERT_HAS_EXPIRED" && to !== undefined && to <= now) return `its certificate ${expiry}`
  if (code === "CERT_NOT_YET_VALID" && from !== undefined && from > now) {
    return `its certificate is valid only from ${from.toISOString().slice(0, 10)} on`
  }
  if (code === "ERR_TLS_CERT_ALTNAME_INVALID") {
    return `its certificate is for ${printable(names, 100)}, not for ${host}${until}`
  }
  if (code === "DEPTH_ZERO_SELF_SIGNED_CERT") return `its certificate is self-signed (trust it with caFile)${until}`
  if (unknownAuthority.has(code)) {
    return `its certificate is signed by ${signer}, which is not trusted here, or the chain that it sends is not complete${until}`
  }
  return `its certificate is not good (${code}), signed by ${signer}${until}`
}

const unknownAuthority: ReadonlySet<string> = new Set([
  "SELF_SIGNED_CERT_IN_CHAIN",
  "UNABLE_TO_GET_ISSUER_CERT",
  "UNABLE_TO_GET_ISSUER_CERT_LOCALLY",
  "UNABLE_TO_VERIFY_LEAF_SIGNATURE",
])
