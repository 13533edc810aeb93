import { formatDuration } from "../core/duration.ts"
import { errorText } from "../core/error-text.ts"
import type { CheckResult, FailureClass, Phase } from "./check.ts"

/** What a failed connection means; `problem` is the end of a sentence that begins with the place. */
export type SocketFailure = { class: FailureClass; problem: string }

/** The class of an error of a connection (net or tls), in words. Of several addresses the one that came farthest tells. */
export function explainSocketError(error: unknown): SocketFailure {
  const code = codeOf(error)
  const known = failures[code]
  if (known) return { class: known[0], problem: `${known[1]} (${code})` }
  if (isTlsCode(code))
    return { class: "tls", problem: `no TLS could be agreed on (${code}): see whether TLS is spoken there` }
  return { class: "protocol", problem: errorText(error) }
}

/** The code of an error of the system, of a parser or of TLS; of the deepest cause, and `""` without one. */
export function codeOf(error: unknown): string {
  if (!(error instanceof Error)) return ""
  if (error instanceof AggregateError) {
    const codes = error.errors.map(codeOf)
    return codes.find((code) => failures[code]?.[0] !== "unreachable") ?? codes[0] ?? ""
  }
  const own = "code" in error && typeof error.code === "string" ? error.code : ""
  return own === "" ? codeOf(error.cause) : own
}

/** How far it had come when a connection could not be made for such a reason. */
export function phaseOf(failureClass: FailureClass): Phase {
  if (failureClass === "dns") return "dns"
  return failureClass === "tls" || failureClass === "certificate" ? "tls" : "connect"
}

/** Throws what is a mistake of this program, which must not look like an outage. */
export function throwDefect(error: unknown): void {
  if (error instanceof TypeError || error instanceof RangeError || error instanceof ReferenceError) throw error
}

/** A result for what did not answer in the time that it has. */
export function timedOut(
  place: string,
  phase: Phase | undefined,
  timeoutMs: number,
  timings: CheckResult["timings"],
): CheckResult {
  const stage = phase === undefined ? "" : ` (${phase})`
  return {
    outcome: "fail",
    detail: `${place} gave no answer within ${formatDuration(timeoutMs)}${stage}`,
    failure: { class: "timeout", phase },
    timings,
  }
}

function isTlsCode(code: string): boolean {
  return code === "EPROTO" || code.startsWith("ERR_SSL_") || code.startsWith("ERR_TLS_")
}

const unreachable = "there is no way to it from here"
const unknownName = "its name is unknown"

const failures: Record<string, [FailureClass, string]> = {
  ENOTFOUND: ["dns", unknownName],
  ENODATA: ["dns", unknownName],
  EAI_AGAIN: ["dns", "its name cannot be looked up just now"],
  EAI_FAIL: ["dns", "its name cannot be looked up"],
  ESERVFAIL: ["dns", "its name cannot be looked up"],
  ECONNREFUSED: ["refused", "nothing listens there"],
  ENOENT: ["refused", "there is no such socket"],
  EHOSTUNREACH: ["unreachable", unreachable],
  ENETUNREACH: ["unreachable", unreachable],
  ENETDOWN: ["unreachable", unreachable],
  EADDRNOTAVAIL: ["unreachable", unreachable],
  ECONNRESET: ["reset", "the connection was reset"],
  EPIPE: ["reset", "the other side hung up"],
  ECONNABORTED: ["reset", "the connection was cut"],
  ETIMEDOUT: ["timeout", "no answer"],
  CERT_HAS_EXPIRED: ["certificate", "its certificate has expired"],
  CERT_NOT_YET_VALID: ["certificate", "its certificate is not valid yet"],
  CERT_REVOKED: ["certificate", "its certificate was revoked"],
  CERT_SIGNATURE_FAILURE: ["certificate", "its certificate is signed by an authority that is not trusted here"],
  ERR_TLS_CERT_ALTNAME_INVALID: ["certificate", "its certificate is for another name"],
  HOSTNAME_MISMATCH: ["certificate", "its certificate is for another name"],
  DEPTH_ZERO_SELF_SIGNED_CERT: ["certificate", "its certificate is self-signed"],
  SELF_SIGNED_CERT_IN_CHAIN: ["certificate", "its certificate is signed by an authority that is not trusted here"],
  UNABLE_TO_GET_ISSUER_CERT: ["certificate", "its chain of certificates is not complete"],
  UNABLE_TO_GET_ISSUER_CERT_LOCALLY: [
    "certificate",
    "its certificate is signed by an authority that is not trusted here, or the chain is not complete",
  ],
  UNABLE_TO_VERIFY_LEAF_SIGNATURE: [
    "certificate",
    "its certificate is signed by an authority that is not trusted here, or the chain is not complete",
  ],
}
