import { type AddressInfo, createServer, type Socket } from "node:net"
import type { CheckResult, Surroundings } from "../../../lib/service/check.ts"
import type { Service } from "../../../lib/service/service.ts"
import { sleep, startTimer } from "../../../lib/system/clock.ts"

/** What a check gets, with a short time. */
export function around(changes: Partial<Surroundings> = {}): Surroundings {
  return { now: new Date(), timeoutMs: 5000, signal: new AbortController().signal, ...changes }
}

/** A service with nothing set but what is given. */
export function service(changes: Partial<Service> = {}): Service {
  return {
    name: "api",
    probe: { kind: "tcp", host: "127.0.0.1", port: 1 },
    severity: "P1",
    timeoutMs: 10_000,
    latency: {},
    numbers: {},
    dependsOn: [],
    maintenance: [],
    timezone: "UTC",
    ...changes,
  }
}

/** Outcome and class, as `fail timeout`. */
export function verdict({ outcome, failure }: CheckResult): string {
  return failure ? `${outcome} ${failure.class}` : outcome
}

/** Runs `fn` with the port of a server that does `greet` with each connection, and counts those that are open. */
export async function withTcpServer<T>(
  greet: (socket: Socket) => void,
  fn: (port: number, openSockets: () => number) => Promise<T>,
): Promise<T> {
  const sockets = new Set<Socket>()
  const server = createServer((socket) => {
    sockets.add(socket)
    socket.on("error", () => undefined).on("close", () => sockets.delete(socket))
    greet(socket)
    socket.resume() // else the end of the other side would never be seen
  })
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve))
  try {
    return await fn((server.address() as AddressInfo).port, () => sockets.size)
  } finally {
    for (const socket of sockets) socket.destroy()
    await new Promise((resolve) => server.close(resolve))
  }
}

/** Waits until no connection is left; rejects after 2 s. */
export async function untilClosed(openSockets: () => number): Promise<void> {
  const elapsed = startTimer()
  while (openSockets() > 0) {
    if (elapsed() > 2000) throw new Error(`${openSockets()} connections were left open`)
    await sleep(10)
  }
}
