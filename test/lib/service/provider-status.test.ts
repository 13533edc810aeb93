import { afterAll, beforeAll, describe, expect, it } from "vitest"
import { providerName, statusPageUrl } from "../../../lib/service/provider-pages.ts"
import { askProvider, parseProviderStatus } from "../../../lib/service/provider-status.ts"
import {
  type StatuspageMood,
  type StatuspageServer,
  startStatuspageServer,
  summaries,
} from "../../support/statuspage-server.ts"

let page: StatuspageServer
beforeAll(async () => {
  page = await startStatuspageServer()
})
afterAll(() => page[Symbol.asyncDispose]())

const signal = new AbortController().signal

async function ask(mood: StatuspageMood) {
  page.answer(mood)
  return askProvider("harbour", page.url, { timeoutMs: 200, signal })
}

describe("a provider's status page", () => {
  it("that does not answer, or not as such pages do, blames nobody and is noted", async () => {
    expect(await ask("hang")).toEqual({
      note: expect.stringContaining("harbour says nothing: no answer from 127.0.0.1"),
    })
    expect(await ask("error")).toEqual({ note: expect.stringContaining("the answer was 503") })
    expect(await ask("not json")).toEqual({ note: expect.stringContaining("the answer is no JSON") })
    expect(() => parseProviderStatus('{"status":"ok"}', "harbour")).toThrow("not in the shape of a Statuspage")
    const gone = await askProvider("harbour", "http://127.0.0.1:1/api/v2/summary.json", { timeoutMs: 200, signal })
    expect(gone).toEqual({ note: expect.stringContaining("cannot connect to 127.0.0.1:1") })
  })

  it("that is asked when the run ends rejects with the run's reason", async () => {
    page.answer("hang")
    const reason = new Error("received SIGTERM")
    const asked = askProvider("harbour", page.url, { timeoutMs: 5000, signal: AbortSignal.abort(reason) })
    await expect(asked).rejects.toBe(reason)
  })

  it("on which all is well blames nobody", async () => {
    expect(await ask("well")).toEqual({})
    expect(await ask("a resolved incident")).toEqual({})
  })

  it("gives the title of its worst open incident", async () => {
    expect(await ask("several incidents")).toEqual({
      trouble: {
        provider: "harbour",
        title: "Connections to databases in eu-west-2 fail",
        indicator: "critical",
        page: "https://status.harbour.example",
      },
    })
    expect(await ask("work in progress")).toMatchObject({
      trouble: { title: "Upgrade of the proxies", indicator: "maintenance" },
    })
  })

  it("without an incident yet gives its own description", async () => {
    expect(await ask("no incident yet")).toMatchObject({
      trouble: { title: "Partial System Outage", indicator: "major" },
    })
  })

  it("cannot write more than a line into a message", () => {
    const wide = structuredClone(summaries["several incidents"])
    for (const incident of wide.incidents) incident.name = `It\u0000 is\r\n\r\n@channel ${"very ".repeat(200)}bad`
    const title = parseProviderStatus(JSON.stringify(wide), "harbour")?.title ?? ""
    expect(title).toMatch(/^It is @channel very .*…$/)
    expect(title.length).toBeLessThan(210)
  })

  it("has the name that the configuration knows, or that of its host", () => {
    expect(providerName(statusPageUrl("supabase"))).toBe("supabase")
    expect(providerName(statusPageUrl("fly"))).toBe("fly")
    expect(providerName(statusPageUrl("https://status.example.com"))).toBe("status.example.com")
  })
})
