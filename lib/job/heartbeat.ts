import { errorText } from "../core/error-text.ts"
import type { Log } from "../core/log.ts"
import { type HeartbeatKind, ping } from "../notify/heartbeat.ts"
import { bounded, type Curfew } from "./curfew.ts"

/** Tells a watcher outside that a run began and how it ended. It is the last to hear and only warns when it does not. */
export type Heartbeat = { start(): void; end(kind: "success" | "fail", body: string): Promise<void> }

const timeoutMs = 5000

/** The heartbeat at an address; silent without one. */
export function createHeartbeat(url: string | undefined, log: Log, curfew: Curfew): Heartbeat {
  let started = Promise.resolve()

  async function send(kind: HeartbeatKind, body?: string): Promise<void> {
    if (!url) return
    try {
      const work = (signal: AbortSignal) => ping(url, kind, { timeoutMs, signal, ...(body && { body }) })
      await bounded(work, { what: "the heartbeat", timeoutMs, curfew, reserveMs: 100 })
    } catch (error) {
      log.warn(`the heartbeat did not arrive: ${errorText(error)}`)
    }
  }

  return {
    start() {
      started = send("start")
    },
    async end(kind, body) {
      await started
      await send(kind, body)
    },
  }
}
