import { chmod, writeFile } from "node:fs/promises"
import { connect } from "node:net"
import { join } from "node:path"
import { describe, expect, it } from "vitest"
import { checkRedis } from "../../../lib/service/redis-check.ts"
import { sleep, startTimer } from "../../../lib/system/clock.ts"
import { withTempDir } from "../../../lib/system/temp.ts"
import { certificateFor } from "../../support/certificates.ts"
import { withRedis } from "../../support/redis-server.ts"
import { freePort } from "../../support/shared-servers.ts"
import { around, untilClosed, verdict, withTcpServer } from "./around.ts"

const look = (url: string, timeoutMs = 3000) => checkRedis({ kind: "redis", url }, around({ timeoutMs }))

describe("a Redis that is not there", () => {
  it("is refused where nothing listens, and is not tried again", async () => {
    const elapsed = startTimer()
    const result = await look(`redis://:hunter22@127.0.0.1:${await freePort()}`)
    expect(verdict(result)).toBe("fail refused")
    expect(result.detail).toMatch(
      /^Redis on 127\.0\.0\.1:\d+ cannot be reached: nothing listens there \(ECONNREFUSED\)$/,
    )
    expect(elapsed()).toBeLessThan(3000)
  })

  it("has a name that is unknown", async () => {
    expect(verdict(await look("redis://cache.invalid:6379"))).toBe("fail dns")
  })

  it("hangs up on everyone, once", async () => {
    let connections = 0
    await withTcpServer(
      (socket) => {
        connections++
        socket.destroy()
      },
      async (port) => {
        expect(verdict(await look(`redis://127.0.0.1:${port}`))).toBe("fail reset")
        await sleep(200)
        expect(connections).toBe(1)
      },
    )
  })

  it("is silent for longer than it may, and is left without a socket", async () => {
    await withTcpServer(
      () => undefined,
      async (port, openSockets) => {
        const elapsed = startTimer()
        const result = await look(`redis://127.0.0.1:${port}`, 400)
        expect(verdict(result)).toBe("fail timeout")
        expect(elapsed()).toBeLessThan(4000)
        await untilClosed(openSockets)
      },
    )
  })

  it("speaks no TLS where the URL wants it", async () => {
    await withRedis([], async ({ port }) => {
      expect(verdict(await look(`rediss://127.0.0.1:${port}`, 1500))).toMatch(/^fail (tls|reset|timeout)$/)
    })
  })

  it("speaks something else", async () => {
    await withTcpServer(
      (socket) => socket.end("HTTP/1.1 400 Bad Request\r\n\r\n"),
      async (port) => expect((await look(`redis://127.0.0.1:${port}`, 1500)).outcome).toBe("fail"),
    )
  })

  it("ends with the signal's reason when the run ends", async () => {
    await withTcpServer(
      () => undefined,
      async (port, openSockets) => {
        const run = new AbortController()
        const result = checkRedis({ kind: "redis", url: `redis://127.0.0.1:${port}` }, around({ signal: run.signal }))
        setTimeout(() => run.abort(new Error("the run ends")), 100)
        await expect(result).rejects.toThrow("the run ends")
        await untilClosed(openSockets)
      },
    )
  })
})

describe("a Redis that lets nobody in", () => {
  it("wants a password, or another one, and never quotes it", async () => {
    await withRedis(["requirepass right-pass"], async ({ port }) => {
      const missing = await look(`redis://127.0.0.1:${port}`)
      expect(verdict(missing)).toBe("fail auth")
      expect(missing.detail).toContain("asks for a password: add it to the URL")
      const wrong = await look(`redis://:hunter22@127.0.0.1:${port}`)
      expect(verdict(wrong)).toBe("fail auth")
      expect(wrong.detail).toContain("refuses user or password")
      expect(JSON.stringify(wrong)).not.toContain("hunter22")
      expect((await look(`redis://:right-pass@127.0.0.1:${port}`)).outcome).toBe("ok")
    })
  })

  it("has a password in the URL and none on the server", async () => {
    await withRedis([], async ({ port }) => {
      const result = await look(`redis://:hunter22@127.0.0.1:${port}`)
      expect(verdict(result)).toBe("fail auth")
      expect(result.detail).toContain("has no password set, and the URL has one")
    })
  })

  it("does not let this user write", async () => {
    await withRedis(["user reader on >right-pass ~* +ping +get +info +select"], async ({ port }) => {
      const result = await look(`redis://reader:right-pass@127.0.0.1:${port}`)
      expect(verdict(result)).toBe("fail auth")
      expect(result.detail).toContain("keys that begin with nightshift:probe:")
    })
  })

  it("has no connection left", async () => {
    await withRedis(["maxclients 1"], async ({ port }) => {
      await withHeldConnection(port, async () => {
        expect(verdict(await look(`redis://127.0.0.1:${port}`))).toBe("fail refused")
      })
    })
  })
})

describe("a Redis that takes no writes", () => {
  it("is a replica", async () => {
    await withRedis([`replicaof 127.0.0.1 ${await freePort()}`], async ({ url }) => {
      const result = await look(url)
      expect(verdict(result)).toBe("fail query")
      expect(result.detail).toContain("takes no writes: it is a replica")
    })
  })

  it("has a full memory", async () => {
    await withRedis(["maxmemory 1kb", "maxmemory-policy noeviction"], async ({ url }) => {
      const result = await look(url)
      expect(verdict(result)).toBe("fail query")
      expect(result.detail).toContain("takes no writes: its memory is full")
    })
  })

  it("is stopped in the middle, and is not waited for", async () => {
    await withRedis([], async ({ url, signal }) => {
      signal("SIGSTOP")
      const elapsed = startTimer()
      const result = await look(url, 400)
      signal("SIGCONT")
      expect(verdict(result)).toBe("fail timeout")
      expect(elapsed()).toBeLessThan(4000)
    })
  })

  it("still loads its data", async () => {
    await withTcpServer(
      (socket) => socket.on("data", () => socket.write("-LOADING Redis is loading the dataset in memory\r\n")),
      async (port) => {
        const result = await look(`redis://127.0.0.1:${port}`)
        expect(verdict(result)).toBe("fail refused")
        expect(result.detail).toContain("is starting: it still loads its data")
      },
    )
  })
})

describe("a Redis that works", () => {
  it("answers, keeps a value, tells its memory, and has nothing of ours left", async () => {
    await withRedis(["maxmemory 100mb"], async ({ url, send }) => {
      const result = await look(`${url}/3`)
      expect(result).toMatchObject({
        outcome: "ok",
        numbers: { "ping.ms": expect.any(Number), "write.ms": expect.any(Number), "read.ms": expect.any(Number) },
      })
      expect(result.detail).toMatch(/^Redis on 127\.0\.0\.1:\d+ answers \(ping .* ms, write .* ms, read .* ms\)$/)
      expect(result.numbers?.["memory.usedBytes"]).toBeGreaterThan(500_000)
      expect(result.numbers?.["memory.percent"]).toBeGreaterThan(0.4)
      expect(await send("INFO keyspace")).not.toContain("keys=")
      expect(await send("INFO clients")).toContain("connected_clients:1")
    })
  })

  it("speaks TLS with a certificate that the team's own authority signed, and with no other", async () => {
    await withRedisOverTls(async (url, caFile) => {
      const trusted = await checkRedis({ kind: "redis", url, caFile }, around())
      expect(verdict(trusted)).toBe("ok")
      const stranger = await look(url)
      expect(verdict(stranger)).toBe("fail certificate")
      expect(stranger.failure?.phase).toBe("tls")
      const unread = await checkRedis({ kind: "redis", url, caFile: "/nowhere/ca.pem" }, around())
      expect(verdict(unread)).toBe("unknown")
    })
  })

  it("is fine without the right to ask for its memory", async () => {
    await withRedis(["user probe on >right-pass ~nightshift:probe:* +ping +set +get +del"], async ({ port }) => {
      const result = await look(`redis://probe:right-pass@127.0.0.1:${port}`)
      expect(result.outcome).toBe("ok")
      expect(result.numbers).not.toHaveProperty("memory.usedBytes")
    })
  })

  it("is fine as one node of a cluster, and says that nothing was written", async () => {
    await withTcpServer(
      (socket) =>
        socket.on("data", (data) =>
          socket.write(String(data).includes("SET") ? "-MOVED 3999 192.0.2.1:6381\r\n" : "+PONG\r\n"),
        ),
      async (port) => {
        const result = await look(`redis://127.0.0.1:${port}`)
        expect(result.outcome).toBe("ok")
        expect(result.detail).toContain("nothing was written, since it is one node of a cluster")
      },
    )
  })
})

async function withRedisOverTls(fn: (url: string, caFile: string) => Promise<void>): Promise<void> {
  const certificate = await certificateFor("valid")
  await withTempDir("redis_tls", async (dir) => {
    await chmod(dir, 0o755) // the server runs as another user
    const files = { "cert.pem": certificate.cert, "key.pem": certificate.key, "ca.pem": certificate.ca }
    for (const [name, text] of Object.entries(files)) await writeFile(join(dir, name), text)
    const port = await freePort()
    const settings = [
      `tls-port ${port}`,
      "tls-auth-clients no",
      `tls-cert-file ${dir}/cert.pem`,
      `tls-key-file ${dir}/key.pem`,
    ]
    await withRedis([...settings, `tls-ca-cert-file ${dir}/ca.pem`], () =>
      fn(`rediss://localhost:${port}`, join(dir, "ca.pem")),
    )
  })
}

async function withHeldConnection(port: number, fn: () => Promise<void>): Promise<void> {
  const socket = connect(port, "127.0.0.1")
  await new Promise((resolve) => socket.once("connect", resolve))
  try {
    socket.write("PING\r\n")
    await new Promise((resolve) => socket.once("data", resolve))
    await fn()
  } finally {
    socket.destroy()
  }
}
