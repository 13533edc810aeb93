import { describe, expect, it } from "vitest"
import { checkDomain } from "../../../lib/service/domain-check.ts"
import { startTimer } from "../../../lib/system/clock.ts"
import { type RdapAnswer, registered, startRdapServer } from "../../support/rdap-server.ts"
import { around, verdict } from "./around.ts"

const domain = "shop.example"
const now = new Date("2026-03-01T09:00:00Z")

async function look(answer: RdapAnswer | null | undefined, timeoutMs = 2000) {
  await using server = await startRdapServer(answer === undefined ? {} : { [domain]: answer })
  return await checkDomain({ kind: "domain", domain }, around({ now, timeoutMs }), server.url)
}

describe("a registry that cannot tell", () => {
  it.each<[string, RdapAnswer | undefined, RegExp]>([
    ["does not speak RDAP", undefined, /^no registry that answers RDAP is known for shop\.example$/],
    ["asks for patience", { status: 429, body: {} }, /RDAP answered 429/],
    ["is broken", { status: 503, text: "<html>" }, /RDAP answered 503/],
    ["answers a page", { text: "<html>welcome</html>" }, /gave no RDAP answer/],
    ["hangs up", "hangs up", /could not be asked for/],
    ["keeps the date to itself", registered(domain, undefined), /does not tell when the registration runs out/],
    ["gives no date but words", registered(domain, "soon"), /does not tell when/],
  ])("is unknown and no failure when it %s", async (_what, answer, expected) => {
    const result = await look(answer)
    expect(verdict(result)).toBe("unknown")
    expect(result.detail).toMatch(expected)
  })

  it("is unknown when it is silent, after the time that it has", async () => {
    const elapsed = startTimer()
    expect(verdict(await look("silent", 400))).toBe("unknown")
    expect(elapsed()).toBeLessThan(4000)
  })

  it("is unknown where nobody listens", async () => {
    const result = await checkDomain({ kind: "domain", domain }, around({ now }), "http://127.0.0.1:1")
    expect(verdict(result)).toBe("unknown")
  })
})

describe("a registration", () => {
  it.each([
    ["2027-03-01T09:00:00Z", "ok", 365],
    ["2026-04-01T09:00:00Z", "ok", 31],
    ["2026-03-31T09:00:00Z", "warn domain", 30],
    ["2026-03-15T09:00:00Z", "warn domain", 14],
    ["2026-03-08T09:00:00Z", "fail domain", 7],
    ["2026-03-02T09:00:00Z", "fail domain", 1],
    ["2026-02-27T09:00:00Z", "fail domain", -2],
  ])("that runs out at %s is %s", async (expiration, expected, daysLeft) => {
    const result = await look(registered(domain, expiration))
    expect(verdict(result)).toBe(expected)
    expect(result.numbers).toEqual({ daysLeft })
  })

  it("is told with its date", async () => {
    const result = await look(registered(domain, "2026-03-07T09:00:00Z"))
    expect(result.detail).toBe("the registration of shop.example runs out in 6 days, on 2026-03-07")
  })

  it("that the registry does not know any more has failed", async () => {
    const result = await look(null)
    expect(verdict(result)).toBe("fail domain")
    expect(result.detail).toContain("the registry knows no domain shop.example")
  })

  it.each(["redemption period", "pending delete", "client hold"])(
    "in %s has failed whatever its date is",
    async (status) => {
      const result = await look(registered(domain, "2027-03-01T09:00:00Z", [status]))
      expect(verdict(result)).toBe("fail domain")
      expect(result.detail).toContain(`in ${status}`)
    },
  )
})
