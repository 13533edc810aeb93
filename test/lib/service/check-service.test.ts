import { describe, expect, it } from "vitest"
import { checkService } from "../../../lib/service/check-service.ts"
import type { Probe } from "../../../lib/service/service.ts"
import { around, service, verdict, withTcpServer } from "./around.ts"

const nowhere: Probe[] = [
  {
    kind: "http",
    url: "http://127.0.0.1:1/health",
    method: "GET",
    headers: {},
    redirects: 0,
    maxBytes: 1000,
    expect: { json: [], headers: [], format: "any" },
  },
  { kind: "tcp", host: "127.0.0.1", port: 1 },
  { kind: "tls", host: "127.0.0.1", port: 1 },
  { kind: "redis", url: "redis://127.0.0.1:1" },
]

describe("a service of any kind", () => {
  it.each(nowhere.map((probe) => [probe.kind, probe] as const))(
    "that is not there is refused: %s",
    async (_kind, probe) => {
      const result = await checkService(service({ probe }), around())
      expect(verdict(result)).toBe("fail refused")
      expect(result.timings.totalMs).toBeGreaterThan(0)
    },
  )

  it("is not looked at when the run has ended", async () => {
    const signal = AbortSignal.abort(new Error("the run ends"))
    await expect(checkService(service(), around({ signal }))).rejects.toThrow("the run ends")
  })

  it("is judged by its own limits", async () => {
    await withTcpServer(
      () => undefined,
      async (port) => {
        const probe: Probe = { kind: "tcp", host: "127.0.0.1", port }
        expect((await checkService(service({ probe }), around())).outcome).toBe("ok")
        const strict = service({ probe, latency: { degradedMs: 0.0001 } })
        expect(verdict(await checkService(strict, around()))).toBe("warn slow")
      },
    )
  })

  it("shows a defect of our own as one, and not as an outage", async () => {
    const probe = { kind: "tcp", host: "127.0.0.1", port: 99_999 } as const
    await expect(checkService(service({ probe }), around())).rejects.toThrow(RangeError)
  })
})
