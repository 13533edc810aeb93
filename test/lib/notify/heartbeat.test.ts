import { describe, expect, it } from "vitest"
import { ping, pingUrl } from "../../../lib/notify/heartbeat.ts"
import { startHeartbeatServer } from "../../support/heartbeat-server.ts"

describe("a heartbeat that is not noted", () => {
  it("says so with host and status, never the address", async () => {
    await using watcher = await startHeartbeatServer()
    const { host } = new URL(watcher.url)
    await expect(ping(`${watcher.url}x`, "success")).rejects.toThrow(
      `the heartbeat at ${host} answered 404: check its address`,
    )
    watcher.answer(200, "OK (not found)")
    await expect(ping(watcher.url, "success")).rejects.toThrow(`the heartbeat at ${host} took nothing: OK (not found)`)
    watcher.answer(503, "later")
    await expect(ping(watcher.url, "success")).rejects.toThrow("answered 503")
    await watcher.close()
    await expect(ping(watcher.url, "fail")).rejects.toThrow(/^cannot connect to 127\.0\.0\.1:\d+: [^/]*$/)
  })
})

describe("a heartbeat", () => {
  it("tells start, success and fail, with a text", async () => {
    await using watcher = await startHeartbeatServer()
    await ping(watcher.url, "start")
    await ping(watcher.url, "success", { body: "2 databases" })
    await ping(`${watcher.url}/?rid=7`, "fail", { body: "x".repeat(20_000) })
    expect(watcher.pings).toEqual([
      { kind: "start", body: "", query: "" },
      { kind: "success", body: "2 databases", query: "" },
      { kind: "fail", body: "x".repeat(10_000), query: "?rid=7" },
    ])
  })

  it("puts the kind at the end of the path and keeps the query", () => {
    expect(pingUrl("https://hc.example.com/ping/key/slug?create=1&a=b", "start")).toBe(
      "https://hc.example.com/ping/key/slug/start?create=1&a=b",
    )
    expect(pingUrl("https://hc.example.com/ping/id/", "fail")).toBe("https://hc.example.com/ping/id/fail")
    expect(pingUrl("https://hc.example.com/ping/id?x=1", "success")).toBe("https://hc.example.com/ping/id?x=1")
  })
})
