import { spawn } from "node:child_process"
import { once } from "node:events"
import { connect } from "node:net"
import { describe, expect, it } from "vitest"
import { checkTcp } from "../../../lib/service/tcp-check.ts"
import { sleep, startTimer } from "../../../lib/system/clock.ts"
import { freePort } from "../../support/shared-servers.ts"
import { around, untilClosed, verdict, withTcpServer } from "./around.ts"

const look = (host: string, port: number, timeoutMs = 5000) =>
  checkTcp({ kind: "tcp", host, port }, around({ timeoutMs }))

describe("a port that takes no connection", () => {
  it("is refused where nothing listens", async () => {
    const port = await freePort()
    const result = await look("127.0.0.1", port)
    expect(verdict(result)).toBe("fail refused")
    expect(result.failure?.phase).toBe("connect")
    expect(result.detail).toBe(`127.0.0.1:${port} cannot be reached: nothing listens there (ECONNREFUSED)`)
  })

  it("has a name that is unknown", async () => {
    const result = await look("mail.invalid", 25)
    expect(verdict(result)).toBe("fail dns")
    expect(result.failure?.phase).toBe("dns")
    expect(result.timings.connectMs).toBeUndefined()
  })

  it("cannot be reached from here", async () => {
    expect(verdict(await look("255.255.255.255", 25))).toBe("fail unreachable")
  })

  it("says nothing within the time", async () => {
    await withBacklogFull(async (port) => {
      const elapsed = startTimer()
      const result = await look("127.0.0.1", port, 300)
      expect(verdict(result)).toBe("fail timeout")
      expect(result.detail).toContain("gave no answer within 300 ms (connect)")
      expect(elapsed()).toBeLessThan(4000)
    })
  })
})

describe("a port that takes connections", () => {
  it("is up, with the time that it took, and is left at once", async () => {
    await withTcpServer(
      () => undefined,
      async (port, openSockets) => {
        const result = await look("localhost", port)
        expect(result).toMatchObject({
          outcome: "ok",
          timings: { dnsMs: expect.any(Number), connectMs: expect.any(Number) },
        })
        await untilClosed(openSockets)
      },
    )
  })
})

it("rejects with the signal's reason when the run ends", async () => {
  const reason = new Error("the run ends")
  await expect(
    checkTcp({ kind: "tcp", host: "127.0.0.1", port: 1 }, around({ signal: AbortSignal.abort(reason) })),
  ).rejects.toBe(reason)
})

/** Runs `fn` with a port whose queue of connections is full: the kernel answers nobody else. */
async function withBacklogFull(fn: (port: number) => Promise<void>): Promise<void> {
  const script = `require("node:net").createServer().listen({ port: 0, host: "127.0.0.1", backlog: 1 }, function () {
    require("node:fs").writeSync(1, String(this.address().port))
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0)
  })`
  const server = spawn(process.execPath, ["-e", script], { stdio: ["ignore", "pipe", "inherit"] })
  const port = Number(String((await once(server.stdout, "data"))[0]))
  const waiting = Array.from({ length: 6 }, () => connect(port, "127.0.0.1").on("error", () => undefined))
  try {
    await sleep(100)
    await fn(port)
  } finally {
    for (const socket of waiting) socket.destroy()
    server.kill("SIGKILL")
  }
}
