import { writeFile } from "node:fs/promises"
import type { AddressInfo } from "node:net"
import { join } from "node:path"
import { createServer } from "node:tls"
import { describe, expect, it } from "vitest"
import type { Surroundings } from "../../../lib/service/check.ts"
import { checkTls } from "../../../lib/service/tls-check.ts"
import { withTempDir } from "../../../lib/system/temp.ts"
import { type Certificate, type CertificateKind, certificateFor } from "../../support/certificates.ts"
import { freePort } from "../../support/shared-servers.ts"
import { around, verdict, withTcpServer } from "./around.ts"

/** Looks at a server that shows such a certificate, trusting the authority of the tests. */
async function look(kind: CertificateKind, { now = new Date(), trusts = true, host = "localhost" } = {}) {
  const certificate = await certificateFor(kind)
  return withTempDir("ca", async (dir) => {
    const caFile = join(dir, "ca.pem")
    await writeFile(caFile, certificate.ca)
    return withTlsServer(certificate, (port) =>
      checkTls({ kind: "tls", host, port, ...(trusts && { caFile }) }, around({ now })),
    )
  })
}

async function withTlsServer<T>(
  { cert, key }: Certificate,
  fn: (port: number, names: string[]) => Promise<T>,
): Promise<T> {
  const names: string[] = []
  const SNICallback = (name: string, done: (error: null) => void) => {
    names.push(name)
    done(null) // the certificate of the server itself
  }
  const server = createServer({ cert, key, SNICallback }, (socket) => socket.on("error", () => undefined))
  server.on("tlsClientError", () => undefined)
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve))
  try {
    return await fn((server.address() as AddressInfo).port, names)
  } finally {
    await new Promise((resolve) => server.close(resolve))
  }
}

const daysBefore = (date: Date, days: number) => new Date(date.getTime() - days * 86_400_000)
const lookAt = (port: number, changes: Partial<Surroundings> = {}) =>
  checkTls({ kind: "tls", host: "127.0.0.1", port }, around(changes))

describe("a host that shows no certificate", () => {
  it("is refused where nothing listens", async () => {
    expect(verdict(await lookAt(await freePort()))).toBe("fail refused")
  })

  it("speaks no TLS", async () => {
    await withTcpServer(
      (socket) => socket.end("220 mail ready\r\n"),
      async (port) => {
        const result = await lookAt(port)
        expect(verdict(result)).toBe("fail tls")
        expect(result.failure?.phase).toBe("tls")
      },
    )
  })

  it("hangs up in the middle", async () => {
    await withTcpServer(
      (socket) => socket.once("data", () => socket.resetAndDestroy()),
      async (port) => expect(verdict(await lookAt(port))).toBe("fail reset"),
    )
  })

  it("stays silent for longer than it may", async () => {
    await withTcpServer(
      () => undefined,
      async (port) => {
        const result = await lookAt(port, { timeoutMs: 300 })
        expect(verdict(result)).toBe("fail timeout")
        expect(result.detail).toContain("gave no answer within 300 ms (tls)")
      },
    )
  })

  it("is unknown, and not down, when our own authority cannot be read", async () => {
    const result = await checkTls({ kind: "tls", host: "localhost", port: 1, caFile: "/nowhere/ca.pem" }, around())
    expect(verdict(result)).toBe("unknown")
    expect(result.detail).toContain("caFile cannot be read: ENOENT")
  })
})

describe("a certificate", () => {
  it("that ran out is told with its date", async () => {
    const { validTo } = await certificateFor("expired")
    const result = await look("expired")
    expect(verdict(result)).toBe("fail certificate")
    expect(result.detail).toMatch(/^the certificate of localhost:\d+ ran out \d day/)
    expect(result.detail).toContain(validTo.toISOString().slice(0, 10))
    expect(result.detail).not.toContain(";")
    expect(result.numbers?.daysLeft).toBeLessThan(0)
  })

  it.each<[CertificateKind, RegExp]>([
    ["wrong-host", /; it is for another name: .*DNS:other\.example$/],
    ["self-signed", /; its certificate is self-signed \(DEPTH_ZERO_SELF_SIGNED_CERT\)$/],
    [
      "incomplete",
      /; its certificate is signed by an authority that is not trusted here, or the chain is not complete/,
    ],
    ["not-yet", /; it is valid only from \d{4}-\d\d-\d\d on$/],
  ])("that is %s has failed, and says why", async (kind, expected) => {
    const result = await look(kind, { trusts: kind !== "self-signed" })
    expect(verdict(result)).toBe("fail certificate")
    expect(result.detail).toMatch(expected)
  })

  it("of an authority that nobody told us of has failed", async () => {
    expect(verdict(await look("valid", { trusts: false }))).toBe("fail certificate")
  })

  it.each([
    [31, "ok"],
    [30, "warn certificate"],
    [14, "warn certificate"],
    [8, "warn certificate"],
    [7, "fail certificate"],
    [1, "fail certificate"],
  ])("with %i days left is %s", async (days, expected) => {
    const { validTo } = await certificateFor("valid")
    const result = await look("valid", { now: daysBefore(validTo, days) })
    expect(verdict(result)).toBe(expected)
    expect(result.numbers).toEqual({ daysLeft: days })
  })

  it("that is good is told with its days and the time of each phase", async () => {
    const result = await look("valid")
    expect(result).toMatchObject({
      outcome: "ok",
      timings: { connectMs: expect.any(Number), tlsMs: expect.any(Number) },
    })
    expect(result.detail).toMatch(/^the certificate of localhost:\d+ runs out in 8\d days, on \d{4}-\d\d-\d\d$/)
  })

  it("is good for an IP address that it names", async () => {
    expect(verdict(await look("valid", { host: "127.0.0.1" }))).toBe("ok")
  })

  it("is asked for by the host's name, since one address may have many", async () => {
    await withTlsServer(await certificateFor("valid"), async (port, names) => {
      await checkTls({ kind: "tls", host: "localhost", port }, around())
      await lookAt(port)
      expect(names).toEqual(["localhost"])
    })
  })
})
