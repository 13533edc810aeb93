import { afterEach, beforeEach, describe, expect, it } from "vitest"
import { look } from "../../support/http-probe.ts"
import { addTroubles } from "../../support/web-routes.ts"
import { startWebServer, type WebServer } from "../../support/web-server.ts"

let web: WebServer
let other: WebServer
beforeEach(async () => {
  web = await startWebServer()
  other = await startWebServer()
  for (const server of [web, other]) addTroubles(server)
  web.setRoute("/away", { status: 302, headers: { location: `${other.url}/ok?ticket=s3cr3t` } })
  web.setRoute("/away-307", { status: 307, headers: { location: `${other.url}/ok` } })
  web.setRoute("/near-307", { status: 307, headers: { location: "/ok" } })
})
afterEach(async () => {
  await web.close()
  await other.close()
})

describe("a redirect that leads nowhere", () => {
  it("is a loop, or one too many", async () => {
    const loop = await look(`${web.url}/loop`)
    expect(loop).toMatchObject({ outcome: "fail", status: 302, failure: { class: "redirect-loop" } })
    expect(loop.detail).toContain("redirects in a circle")
    expect(web.requests()).toEqual(["GET /loop", "GET /loop-back"])
    const deep = await look(`${web.url}/deeper`, { redirects: 3 })
    expect(deep).toMatchObject({ failure: { class: "redirect-loop" } })
    expect(deep.detail).toContain("redirects more than 3 times")
  })

  it("is told by its status where it has no place to go, or one that is not http", async () => {
    expect(await look(`${web.url}/to-nowhere`)).toMatchObject({ status: 302, failure: { class: "status" } })
    web.setRoute("/mail", { status: 302, headers: { location: "mailto:a@example.com" } })
    expect(await look(`${web.url}/mail`)).toMatchObject({ failure: { class: "status" } })
  })

  it("is not followed when none may be, and is right when its status was asked for", async () => {
    expect(await look(`${web.url}/to-ok`, { redirects: 0 })).toMatchObject({
      status: 301,
      failure: { class: "status" },
    })
    expect(await look(`${web.url}/to-ok`, { expect: { status: [301] } })).toMatchObject({ outcome: "ok", status: 301 })
    expect(web.requests()).toEqual(["GET /to-ok", "GET /to-ok"])
  })
})

describe("another origin", () => {
  it("gets no header of the configuration, no user of the address, and is named without its query", async () => {
    const headers = { authorization: "Bearer s3cr3t", "X-Api-Key": "s3cr3t", cookie: "a=s3cr3t", "user-agent": "us" }
    const result = await look(`${web.url}/away`, { headers })
    expect(result).toMatchObject({ outcome: "ok", detail: `${other.url}/ok answered 200` })
    expect(web.received()[0]?.headers).toMatchObject({ authorization: "Bearer s3cr3t", "x-api-key": "s3cr3t" })
    const { "user-agent": agent, ...rest } = other.received()[0]?.headers ?? {}
    expect(agent).toBe("us")
    expect(JSON.stringify(rest)).not.toContain("s3cr3t")

    await look(`${web.url.replace("//", "//user:pa%24s@")}/away`)
    expect(web.received()[1]?.headers.authorization).toBe(`Basic ${Buffer.from("user:pa$s").toString("base64")}`)
    expect(other.received()[1]?.headers.authorization).toBeUndefined()
  })

  it("that wants credentials is told with that reason", async () => {
    other.setRoute("/ok", { status: 401 })
    const result = await look(`${web.url}/away`, { headers: { authorization: "Bearer s3cr3t" } })
    expect(result).toMatchObject({ failure: { class: "auth" } })
    expect(result.detail).toContain("headers are not sent to another origin")
  })

  it("gets no body", async () => {
    const result = await look(`${web.url}/away-307`, { method: "POST", body: "s3cr3t" })
    expect(result).toMatchObject({ outcome: "fail", status: 307, failure: { class: "status" } })
    expect(other.requests()).toEqual([])
  })
})

describe("the same origin", () => {
  it("gets the same headers, and the body where the status says so", async () => {
    const post = { method: "POST", body: "hello", headers: { "x-api-key": "k" } } as const
    await look(`${web.url}/near-307`, post)
    await look(`${web.url}/to-ok`, post)
    expect(web.received().map(({ method, path, body }) => [method, path, body])).toEqual([
      ["POST", "/near-307", "hello"],
      ["POST", "/ok", "hello"],
      ["POST", "/to-ok", "hello"],
      ["GET", "/ok", ""],
    ])
    expect(web.received().every(({ headers }) => headers["x-api-key"] === "k")).toBe(true)
  })
})
