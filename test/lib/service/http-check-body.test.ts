import { deflateRawSync } from "node:zlib"
import { afterAll, beforeAll, describe, expect, it } from "vitest"
import { look, type ProbeChange } from "../../support/http-probe.ts"
import { addTroubles } from "../../support/web-routes.ts"
import { startWebServer, type WebAnswer, type WebServer } from "../../support/web-server.ts"

let web: WebServer
beforeAll(async () => {
  web = await startWebServer()
  addTroubles(web)
})
afterAll(() => web.close())

/** Looks at a path that answers so. */
async function answered(answer: WebAnswer, change: ProbeChange = {}, path = "/here") {
  web.setRoute(path, answer)
  return look(`${web.url}${path}`, change)
}

describe("a body", () => {
  const grün = (path: string) => look(`${web.url}${path}`, { expect: { text: "grün" } })
  it("is read in its charset and unpacked", async () => {
    for (const path of ["/latin1", "/utf16", "/gzip", "/deflate", "/br", "/zstd"]) {
      expect(await grün(path), path).toMatchObject({ outcome: "ok" })
    }
    const raw = { headers: { "content-encoding": "deflate" }, body: deflateRawSync("ganz grün") }
    expect(await answered(raw, { expect: { text: "grün" } })).toMatchObject({ outcome: "ok" })
    expect(await answered({ headers: { "content-type": "text/plain; charset=klingon" }, body: "grün" })).toMatchObject({
      outcome: "ok",
    })
    expect(await look(`${web.url}/zeros`)).toMatchObject({ outcome: "ok" })
    expect(await look(`${web.url}/gzip`, { method: "HEAD" })).toMatchObject({ outcome: "ok" })
  })

  it("that is packed wrongly is a failure of the protocol", async () => {
    for (const coding of ["gzip", "br", "zstd", "deflate", "rot13"]) {
      const answer = { headers: { "content-encoding": coding }, body: "this is not packed" }
      const result = await answered(answer)
      expect(result, coding).toMatchObject({ failure: { class: "protocol", phase: "body" } })
      expect(result.detail).toContain("the body cannot be unpacked")
    }
  })

  it("without an end, or a bomb, is too large in bounded memory, and no matter where nothing is asked of it", async () => {
    const before = process.memoryUsage().rss
    for (const path of ["/endless", "/gzip-bomb"]) {
      expect(await look(`${web.url}${path}`, { expect: { text: "y" } })).toMatchObject({
        failure: { class: "too-large" },
      })
      expect(await look(`${web.url}${path}`)).toMatchObject({ outcome: "ok" })
    }
    expect(process.memoryUsage().rss - before).toBeLessThan(150_000_000)
    expect(await look(`${web.url}/ok`, { maxBytes: 10, expect: { text: "all" } })).toMatchObject({
      failure: { class: "too-large" },
    })
    expect(await look(`${web.url}/ok`, { maxBytes: 11, expect: { text: "all" } })).toMatchObject({ outcome: "ok" })
  })
})
