import { describe, expect, it } from "vitest"
import { checkDns } from "../../../lib/service/dns-check.ts"
import type { DnsProbe } from "../../../lib/service/service.ts"
import { startTimer } from "../../../lib/system/clock.ts"
import { type DnsAnswers, record, startDnsServer } from "../../support/dns-server.ts"
import { freePort } from "../../support/shared-servers.ts"
import { around, verdict } from "./around.ts"

const zone: Record<string, DnsAnswers | "silent"> = {
  "shop.example A": { answers: [record("shop.example", "A", "192.0.2.10"), record("shop.example", "A", "192.0.2.11")] },
  "shop.example AAAA": { answers: [record("shop.example", "AAAA", "2001:db8::10")] },
  "www.shop.example CNAME": { answers: [record("www.shop.example", "CNAME", "edge.host.example")] },
  "shop.example MX": {
    answers: [record("shop.example", "MX", { preference: 10, exchange: "mail.host.example" })],
  },
  "shop.example NS": { answers: [record("shop.example", "NS", "ns1.host.example")] },
  "shop.example TXT": { answers: [record("shop.example", "TXT", ["v=spf1 include:", "mail.example -all"])] },
  "broken.example A": { rcode: 2 },
  "private.example A": { rcode: 5 },
  "empty.example A": {},
  "slow.example A": "silent",
}

async function look(probe: Partial<DnsProbe>, timeoutMs = 3000) {
  await using server = await startDnsServer(zone)
  const whole: DnsProbe = { kind: "dns", name: "shop.example", type: "A", values: [], server: server.address, ...probe }
  return await checkDns(whole, around({ timeoutMs }))
}

describe("a name that cannot be looked up", () => {
  it.each([
    ["gone.example", /there is no such name \(ENOTFOUND\)/],
    ["broken.example", /could not find out: see the name servers of the domain, and DNSSEC \(ESERVFAIL\)/],
    ["private.example", /refuses to answer \(EREFUSED\)/],
    ["empty.example", /the name has no A record \(ENODATA\)/],
  ])("says why of %s", async (name, expected) => {
    const result = await look({ name })
    expect(verdict(result)).toBe("fail dns")
    expect(result.detail).toMatch(expected)
  })

  it("is not waited for longer than it may take", async () => {
    const elapsed = startTimer()
    const result = await look({ name: "slow.example" }, 600)
    expect(verdict(result)).toBe("fail timeout")
    expect(result.detail).toMatch(/^slow\.example A: 127\.0\.0\.1:\d+ gave no answer within 600 ms \(dns\)$/)
    expect(elapsed()).toBeLessThan(4000)
  })

  it("fails where no server listens", async () => {
    const server = `127.0.0.1:${await freePort()}`
    const result = await look({ server }, 1000)
    expect(result.outcome).toBe("fail")
    expect(["dns", "timeout"]).toContain(result.failure?.class)
  })

  it("is left when the run ends, with the signal's reason", async () => {
    await using server = await startDnsServer(zone)
    const run = new AbortController()
    const probe: DnsProbe = { kind: "dns", name: "slow.example", type: "A", values: [], server: server.address }
    const result = checkDns(probe, around({ signal: run.signal }))
    run.abort(new Error("the run ends"))
    await expect(result).rejects.toThrow("the run ends")
  })
})

describe("a name that resolves", () => {
  it("names the values that are missing among the answers", async () => {
    const result = await look({ values: ["192.0.2.10", "192.0.2.99"] })
    expect(verdict(result)).toBe("fail assertion")
    expect(result.detail).toBe("shop.example A has no 192.0.2.99: the answer is 192.0.2.10, 192.0.2.11")
  })

  it.each([
    ["A", "shop.example", ["192.0.2.11"]],
    ["AAAA", "shop.example", ["2001:0db8:0:0:0:0:0:10"]],
    ["CNAME", "www.shop.example", ["Edge.Host.Example."]],
    ["MX", "shop.example", ["10 mail.host.example", "mail.host.example."]],
    ["NS", "shop.example", ["ns1.host.example"]],
    ["TXT", "shop.example", ["v=spf1 include:mail.example -all"]],
  ] as const)("is right for %s, however the values are written", async (type, name, values) => {
    const result = await look({ type, name, values: [...values] })
    expect(result).toMatchObject({ outcome: "ok", timings: { dnsMs: expect.any(Number) } })
  })

  it("does not take an MX of another priority", async () => {
    expect(verdict(await look({ type: "MX", values: ["20 mail.host.example"] }))).toBe("fail assertion")
  })
})
