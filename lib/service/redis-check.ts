import { randomBytes } from "node:crypto"
import { formatDuration } from "../core/duration.ts"
import { errorText } from "../core/error-text.ts"
import { startTimer } from "../system/clock.ts"
import type { CheckResult, PhaseTimings, Surroundings } from "./check.ts"
import { explainRedisError } from "./redis-failure.ts"
import type { RedisProbe } from "./service.ts"
import { throwDefect, timedOut } from "./socket-failure.ts"
import { describePlace } from "./socket-opened.ts"
import { readTrusted } from "./trust.ts"

const defaultPort = 6379
const keySeconds = 60

/**
 * Whether a Redis answers PING and keeps a value: a key of our own is set with an expiry, read and removed. Tells the used memory
 * (`memory.usedBytes`, and `memory.percent` where there is a limit) when it may ask. Connects once, and never again by itself.
 */
export async function checkRedis(probe: RedisProbe, { timeoutMs, signal }: Surroundings): Promise<CheckResult> {
  const ca = probe.caFile === undefined ? undefined : await readTrusted(probe.caFile)
  if (ca instanceof Error) return { outcome: "unknown", detail: ca.message, timings: { totalMs: 0 } }
  signal.throwIfAborted()
  const client = await makeClient(probe.url, ca, timeoutMs)
  const elapsed = startTimer()
  const limit = AbortSignal.any([signal, AbortSignal.timeout(timeoutMs)])
  const hangUp = () => client.destroy()
  limit.addEventListener("abort", hangUp, { once: true })
  const place = placeOf(probe.url)
  const steps: Steps = { timings: {}, numbers: {} }
  const result = (verdict: Pick<CheckResult, "outcome" | "detail" | "failure">): CheckResult => {
    return { ...verdict, timings: { totalMs: elapsed(), ...steps.timings }, numbers: steps.numbers }
  }
  try {
    await client.connect()
    steps.timings.connectMs = elapsed()
    const skipped = await askAll(client, steps, elapsed)
    return result({ outcome: "ok", detail: `${place} answers (${tell(steps)})${skipped}` })
  } catch (error) {
    signal.throwIfAborted()
    throwDefect(error)
    const phase = steps.timings.connectMs === undefined ? "connect" : undefined
    const doing = steps.doing === undefined ? "" : `, ${steps.doing}`
    if (limit.aborted) return result(timedOut(`${place}${doing}`, phase, timeoutMs, { totalMs: elapsed() }))
    return result(explainRedisError(place, steps.doing, error))
  } finally {
    limit.removeEventListener("abort", hangUp)
    client.destroy()
  }
}

type RedisClient = Awaited<ReturnType<typeof makeClient>>

async function makeClient(url: string, ca: string[] | undefined, timeoutMs: number) {
  const { createClient } = await import("@redis/client") // here, since it is a large library that few runs need
  const common = { connectTimeout: timeoutMs, reconnectStrategy: false } as const
  const client = createClient({
    url,
    RESP: 2, // the protocol that every version and every imitation speaks
    disableClientInfo: true,
    disableOfflineQueue: true,
    maintNotifications: "disabled",
    socket: new URL(url).protocol === "rediss:" ? { ...common, tls: true, ca } : common,
  })
  // The same error rejects what is waited for: that is where it is dealt with.
  client.on("error", () => undefined)
  return client
}

/** What was asked so far, for the result of a check that stops half-way. */
type Steps = { timings: Partial<PhaseTimings>; numbers: Record<string, number>; doing?: string }

/** Returns what was not tried, in words. */
async function askAll(client: RedisClient, steps: Steps, elapsed: () => number): Promise<string> {
  await timed(steps, "ping", () => client.sendCommand(["PING"]))
  steps.timings.firstByteMs = elapsed()
  const skipped = await writeAndRead(client, steps)
  await readMemory(client, steps)
  return skipped
}

async function timed(steps: Steps, name: string, fn: () => Promise<unknown>): Promise<void> {
  const elapsed = startTimer()
  steps.doing = name
  await fn()
  steps.numbers[`${name}.ms`] = Math.round(elapsed() * 10) / 10
}

async function writeAndRead(client: RedisClient, steps: Steps): Promise<string> {
  const key = `nightshift:probe:${randomBytes(8).toString("hex")}`
  const value = randomBytes(8).toString("hex")
  try {
    await timed(steps, "write", () => client.sendCommand(["SET", key, value, "EX", String(keySeconds)]))
  } catch (error) {
    // A node of a cluster names the one that keeps this key: it answers, and that is all one node can show.
    if (/^(MOVED|ASK) /.test(errorText(error))) return "; nothing was written, since it is one node of a cluster"
    throw error
  }
  await timed(steps, "read", async () => {
    const found = await client.sendCommand(["GET", key])
    if (String(found) !== value) throw new Error("what was written a moment ago is gone")
  })
  await client.sendCommand(["DEL", key])
  return ""
}

/** Left out where the user may not ask, or the server does not know the question. */
async function readMemory(client: RedisClient, { numbers }: Steps): Promise<void> {
  let info: string
  try {
    info = String(await client.sendCommand(["INFO", "memory"]))
  } catch (error) {
    if (/^(NOPERM|ERR) /.test(errorText(error))) return
    throw error
  }
  const field = (name: string) => Number(new RegExp(`^${name}:(\\d+)\\r?$`, "m").exec(info)?.[1] ?? Number.NaN)
  const used = field("used_memory")
  const most = field("maxmemory")
  if (Number.isNaN(used)) return
  numbers["memory.usedBytes"] = used
  if (most > 0) numbers["memory.percent"] = Math.round((used / most) * 1000) / 10
}

function tell({ numbers }: Steps): string {
  const names = ["ping", "write", "read"].filter((name) => `${name}.ms` in numbers)
  return names.map((name) => `${name} ${formatDuration(numbers[`${name}.ms`] ?? 0)}`).join(", ")
}

function placeOf(url: string): string {
  const { hostname, port } = new URL(url)
  return `Redis on ${describePlace(hostname.replace(/^\[|\]$/g, ""), Number(port || defaultPort))}`
}
