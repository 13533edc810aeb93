import { isIP, type NetConnectOpts, type Socket, connect as tcpConnect } from "node:net"
import { type SecureContext, type TLSSocket, connect as tlsConnect } from "node:tls"
import type { buildConnector } from "undici"
import { startTimer } from "../system/clock.ts"
import type { Phase, PhaseTimings } from "./check.ts"

/** How far a request came; filled in as it goes. */
export type Progress = {
  phase: Phase
  timings: Omit<PhaseTimings, "totalMs">
  /** The addresses of the host. */
  addresses: string[]
  socket?: Socket
}

/** Why a certificate is not good; the request was not sent. */
export type BadCertificate = { code: string; names: string; issuer: string; from?: Date; to?: Date }

// An address that does not answer within this is left for the next one; Node's 250 ms is little beside a hundred other checks.
const nextAddressMs = 500

/**
 * A connector for undici that measures each phase and tells of a bad certificate through `onBadCertificate`.
 * TLS offers HTTP/2 and HTTP/1.1. Connections are never shared, and no session is resumed.
 */
export function measuringConnector(
  progress: Progress,
  trust: SecureContext,
  onBadCertificate: (problem: BadCertificate) => void,
): buildConnector.connector {
  return ({ hostname, protocol, port, servername }, callback) => {
    const isTls = protocol === "https:"
    const place = { host: hostname, port: Number(port || (isTls ? 443 : 80)) }
    const socket = isTls ? openTls(place, servername, trust) : tcpConnect({ ...place, ...eyeballs })
    socket.setNoDelay(true)
    progress.socket = socket
    watch(socket, isIP(hostname) === 0 ? "dns" : "connect", progress)
    let answer: typeof callback | undefined = callback
    socket.on("error", (error) => {
      answer?.(error, null)
      answer = undefined
    })
    socket.once(isTls ? "secureConnect" : "connect", () => {
      const problem = isTls ? problemOf(socket as TLSSocket) : undefined
      if (problem) {
        onBadCertificate(problem)
        socket.destroy(new Error("its certificate is not good"))
        return
      }
      progress.phase = "first byte"
      answer?.(null, socket)
      answer = undefined
    })
  }
}

const eyeballs = {
  autoSelectFamily: true,
  autoSelectFamilyAttemptTimeout: nextAddressMs,
} satisfies Partial<NetConnectOpts>

/** Goes on for now with a certificate that is not good, so that it can be told which; nothing is sent then. */
function openTls(place: { host: string; port: number }, name: string | undefined, trust: SecureContext): TLSSocket {
  const servername = name || (isIP(place.host) === 0 ? place.host : undefined)
  const protocols = ["h2", "http/1.1"]
  return tlsConnect({
    ...place,
    ...eyeballs,
    servername,
    secureContext: trust,
    ALPNProtocols: protocols,
    rejectUnauthorized: false,
  })
}

function watch(socket: Socket, first: Phase, progress: Progress): void {
  const elapsed = startTimer()
  let sinceMs = 0
  progress.phase = first
  progress.addresses = []
  const pass = (key: "dnsMs" | "connectMs" | "tlsMs") => {
    const nowMs = elapsed()
    progress.timings[key] = (progress.timings[key] ?? 0) + nowMs - sinceMs
    sinceMs = nowMs
  }
  socket.on("lookup", (error, address) => {
    if (error) return
    progress.addresses.push(address) // told once for each address
    if (progress.phase !== "dns") return
    pass("dnsMs")
    progress.phase = "connect"
  })
  socket.once("connect", () => {
    pass("connectMs")
    if (progress.phase === "connect" || progress.phase === "dns") progress.phase = "tls" // plain connections go on at once
  })
  socket.once("secureConnect", () => pass("tlsMs"))
}

function problemOf(socket: TLSSocket): BadCertificate | undefined {
  if (socket.authorized) return undefined
  const reason: unknown = socket.authorizationError // the types say Error, Node gives the code alone
  const code = reason instanceof Error ? reason.message : String(reason)
  const leaf = socket.getPeerX509Certificate()
  return {
    code,
    names: (leaf?.subjectAltName ?? "nobody").replaceAll(/DNS:|IP Address:/g, ""),
    issuer: /^CN=(.*)$/m.exec(leaf?.issuer ?? "")?.[1] ?? "an authority without a name",
    from: leaf?.validFromDate,
    to: leaf?.validToDate,
  }
}
