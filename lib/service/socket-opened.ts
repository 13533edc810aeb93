import { isIP, type Socket } from "node:net"
import { startTimer } from "../system/clock.ts"
import type { CheckResult, Phase, PhaseTimings, Surroundings } from "./check.ts"
import { explainSocketError, timedOut } from "./socket-failure.ts"

/** How opening a connection went; `failure` is the result when it did not. */
export type Opened = { timings: PhaseTimings; failure?: CheckResult }

/** `host:port` as a person writes it. */
export function describePlace(host: string, port: number): string {
  return `${host.includes(":") ? `[${host}]` : host}:${port}`
}

/**
 * Waits until a socket that was just made is connected (`secureConnect`: TLS is agreed on too) and measures each phase. Rejects only
 * with the signal's reason. The socket belongs to the caller, who destroys it.
 */
export async function untilOpen(
  socket: Socket,
  ready: "connect" | "secureConnect",
  place: { host: string; port: number },
  { timeoutMs, signal }: Surroundings,
): Promise<Opened> {
  signal.throwIfAborted()
  const stopwatch = measurePhases(socket, place.host)
  const limit = AbortSignal.any([signal, AbortSignal.timeout(timeoutMs)])
  const error = await new Promise<unknown>((resolve) => {
    socket.once(ready, () => resolve(undefined))
    socket.once("error", resolve)
    socket.once("close", () => resolve(new Error("the other side hung up")))
    limit.addEventListener("abort", () => resolve(limit), { once: true })
  })
  signal.throwIfAborted()
  const { phase, timings } = stopwatch()
  if (error === undefined) return { timings }
  const name = describePlace(place.host, place.port)
  if (error === limit) return { timings, failure: timedOut(name, phase, timeoutMs, timings) }
  const { class: failureClass, problem } = explainSocketError(error)
  const detail = `${name} cannot be reached: ${problem}`
  return { timings, failure: { outcome: "fail", detail, failure: { class: failureClass, phase }, timings } }
}

/** Starts measuring; the returned function tells the phase that is under way and how long each one took. */
function measurePhases(socket: Socket, host: string): () => { phase: Phase; timings: PhaseTimings } {
  const elapsed = startTimer()
  const timings: Omit<PhaseTimings, "totalMs"> = {}
  let phase: Phase = isIP(host) === 0 ? "dns" : "connect"
  let sinceMs = 0
  const pass = (key: keyof typeof timings, next: Phase) => {
    const nowMs = elapsed()
    timings[key] = nowMs - sinceMs
    sinceMs = nowMs
    phase = next
  }
  socket.on("lookup", (error) => {
    if (!error && phase === "dns") pass("dnsMs", "connect") // told once for each address
  })
  socket.once("connect", () => pass("connectMs", "tls"))
  socket.once("secureConnect", () => pass("tlsMs", "first byte"))
  return () => ({ phase, timings: { ...timings, totalMs: elapsed() } })
}
