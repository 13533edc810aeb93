import { connect } from "node:net"
import { formatDuration } from "../core/duration.ts"
import type { CheckResult, Surroundings } from "./check.ts"
import type { TcpProbe } from "./service.ts"
import { describePlace, untilOpen } from "./socket-opened.ts"

/** Whether a host takes connections on a port. Sends nothing, and hangs up at once. */
export async function checkTcp(probe: TcpProbe, around: Surroundings): Promise<CheckResult> {
  around.signal.throwIfAborted()
  const { host, port } = probe
  const socket = connect({ host, port })
  try {
    const { timings, failure } = await untilOpen(socket, "connect", probe, around)
    if (failure) return failure
    const detail = `${describePlace(host, port)} takes connections, after ${formatDuration(timings.totalMs)}`
    return { outcome: "ok", detail, timings }
  } finally {
    socket.destroy()
  }
}
