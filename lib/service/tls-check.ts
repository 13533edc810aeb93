import type { X509Certificate } from "node:crypto"
import { isIP } from "node:net"
import { checkServerIdentity, connect, type TLSSocket } from "node:tls"
import { worstOutcome } from "../core/outcome.ts"
import type { CheckResult, PhaseTimings, Surroundings } from "./check.ts"
import { daysUntil, judgeExpiry, tellExpiry } from "./expiry.ts"
import type { TlsProbe } from "./service.ts"
import { codeOf, explainSocketError } from "./socket-failure.ts"
import { describePlace, untilOpen } from "./socket-opened.ts"
import { readTrusted } from "./trust.ts"

const maxChain = 10

/**
 * The certificate of a host: whether it is made out to that name, leads to an authority that is trusted, and how many days are left.
 * Connects whatever the certificate is, so that one that ran out is told with its date. A CA file that cannot be read gives `unknown`.
 */
export async function checkTls(probe: TlsProbe, around: Surroundings): Promise<CheckResult> {
  const { host, port, caFile } = probe
  const ca = caFile === undefined ? undefined : await readTrusted(caFile)
  if (ca instanceof Error) return { outcome: "unknown", detail: ca.message, timings: { totalMs: 0 } }
  around.signal.throwIfAborted()
  const servername = isIP(host) === 0 ? host : undefined
  const socket = connect({ host, port, servername, ca, rejectUnauthorized: false })
  try {
    const { timings, failure } = await untilOpen(socket, "secureConnect", probe, around)
    return failure ?? judgeCertificate(describePlace(host, port), inspect(socket, host), around.now, timings)
  } finally {
    socket.destroy()
  }
}

type Seen = {
  leaf: X509Certificate | undefined
  /** Certificates between it and the root, as far as the server sent them. */
  between: X509Certificate[]
  /** What OpenSSL says of the chain, `""` when it is good. */
  chainCode: string
  /** Why the certificate is not for this host. */
  nameProblem: string | undefined
}

function inspect(socket: TLSSocket, host: string): Seen {
  const leaf = socket.getPeerX509Certificate()
  const error: unknown = socket.authorizationError // the types say Error, Node gives the code alone
  const code = socket.authorized ? "" : error instanceof Error ? codeOf(error) || error.message : String(error ?? "")
  return {
    leaf,
    between: issuersOf(leaf),
    chainCode: code === "ERR_TLS_CERT_ALTNAME_INVALID" ? "" : code,
    nameProblem: leaf && checkServerIdentity(host, leaf.toLegacyObject())?.message.replace(/^.*?altnames: /, ""),
  }
}

function judgeCertificate(place: string, seen: Seen, now: Date, timings: PhaseTimings): CheckResult {
  const failure = { class: "certificate", phase: "tls" } as const
  if (!seen.leaf) return { outcome: "fail", detail: `${place} showed no certificate`, failure, timings }
  const daysLeft = daysUntil(seen.leaf.validToDate, now)
  const problems = problemsOf(seen, seen.leaf, now)
  const ageing = seen.between.find((issuer) => seen.chainCode === "" && isAgeing(issuer, now))
  const outcome = worstOutcome([problems.length > 0 ? "fail" : judgeExpiry(daysLeft), ageing ? "warn" : "ok"])
  const words = [`the certificate of ${place} ${tellExpiry(seen.leaf.validToDate, daysLeft)}`, ...problems]
  if (ageing)
    words.push(`the one that it is signed with ${tellExpiry(ageing.validToDate, daysUntil(ageing.validToDate, now))}`)
  return { outcome, detail: words.join("; "), ...(outcome !== "ok" && { failure }), timings, numbers: { daysLeft } }
}

/** What makes clients refuse it now, but for its own end, which is told by its date. */
function problemsOf({ chainCode, nameProblem }: Seen, leaf: X509Certificate, now: Date): string[] {
  const problems: string[] = []
  if (leaf.validFromDate > now)
    problems.push(`it is valid only from ${leaf.validFromDate.toISOString().slice(0, 10)} on`)
  const isDate = chainCode === "CERT_HAS_EXPIRED" && leaf.validToDate <= now
  if (chainCode === "CERT_HAS_EXPIRED" && !isDate) problems.push("a certificate that it is signed with has expired")
  else if (chainCode !== "" && !isDate && chainCode !== "CERT_NOT_YET_VALID") {
    problems.push(explainSocketError(Object.assign(new Error(chainCode), { code: chainCode })).problem)
  }
  if (nameProblem !== undefined) problems.push(`it is for another name: ${nameProblem}`)
  return problems
}

/** Only a warning, since clients may find another way to a root; what ran out already was not needed. */
function isAgeing(issuer: X509Certificate, now: Date): boolean {
  const daysLeft = daysUntil(issuer.validToDate, now)
  return daysLeft >= 0 && judgeExpiry(daysLeft) !== "ok"
}

/** Without the root, which is trusted by itself. */
function issuersOf(leaf: X509Certificate | undefined): X509Certificate[] {
  const chain: X509Certificate[] = []
  for (let issuer = leaf?.issuerCertificate; issuer && chain.length < maxChain; issuer = issuer.issuerCertificate) {
    if (issuer.issuer === issuer.subject) break
    chain.push(issuer)
  }
  return chain
}
