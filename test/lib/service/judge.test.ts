import { describe, expect, it } from "vitest"
import type { CheckResult } from "../../../lib/service/check.ts"
import { judge, timeoutFor } from "../../../lib/service/judge.ts"
import { service, verdict } from "./around.ts"

function answered(firstByteMs: number, changes: Partial<CheckResult> = {}): CheckResult {
  return { outcome: "ok", detail: "answered 200", timings: { firstByteMs, totalMs: firstByteMs + 5 }, ...changes }
}

const down: CheckResult = {
  outcome: "fail",
  detail: "answered 503",
  failure: { class: "status" },
  timings: { firstByteMs: 20_000, totalMs: 20_001 },
}

describe("what failed, or what nobody can say", () => {
  it.each([down, { ...down, outcome: "unknown" as const }])("stays as it is, whatever the limits are", (result) => {
    const strict = service({
      latency: { degradedMs: 1, failMs: 2 },
      numbers: { queue: { warn: 1 } },
      coldStartMs: 60_000,
    })
    expect(judge(strict, result)).toEqual(result)
  })

  it("is not called a cold start, so that a gateway that gives up late is down", () => {
    expect(judge(service({ coldStartMs: 60_000 }), down).isCold).toBeUndefined()
  })
})

describe("latency", () => {
  const limits = service({ latency: { degradedMs: 500, failMs: 5000 } })

  it.each([
    [500, "ok"],
    [501, "warn slow"],
    [5000, "warn slow"],
    [5001, "fail slow"],
  ])("of %i ms is %s where 500 ms are degraded and 5 s are failed", (ms, expected) => {
    expect(verdict(judge(limits, answered(ms)))).toBe(expected)
  })

  it("is told with its limit, behind what was seen", () => {
    expect(judge(limits, answered(820)).detail).toBe("answered 200; answered after 820 ms, limit 500 ms")
  })

  it("leaves a degradation that the answer tells of the first word, unless it fails", () => {
    const degraded = answered(820, { outcome: "warn", failure: { class: "body", component: "redis" } })
    expect(judge(limits, degraded).failure).toEqual({ class: "body", component: "redis" })
    expect(verdict(judge(limits, { ...degraded, timings: { totalMs: 6000 } }))).toBe("fail slow")
  })

  it("counts until the first byte, and until the end for what has no bytes", () => {
    expect(verdict(judge(limits, answered(400, { timings: { firstByteMs: 400, totalMs: 9000 } })))).toBe("ok")
    expect(verdict(judge(limits, answered(0, { timings: { connectMs: 20, totalMs: 600 } })))).toBe("warn slow")
  })
})

describe("numbers", () => {
  const limits = service({ numbers: { "memory.percent": { warn: 80, fail: 95 }, queue: { fail: 10 } } })
  const with_ = (percent: number, queue = 1) =>
    judge(limits, answered(10, { numbers: { "memory.percent": percent, queue } }))

  it.each([
    [80, 1, "ok"],
    [80.5, 10, "warn threshold"],
    [96, 1, "fail threshold"],
    [85, 11, "fail threshold"],
  ])("of %d %% and %i in the queue are %s", (percent, queue, expected) => {
    expect(verdict(with_(percent, queue))).toBe(expected)
  })

  it("are all named, with their limits", () => {
    expect(with_(85, 11).detail).toBe("answered 200; memory.percent is 85, limit 80; queue is 11, limit 10")
  })

  it("that have a limit and are not in the answer are a warning, and no silence", () => {
    const result = judge(limits, answered(10, { numbers: { queue: 1 } }))
    expect(verdict(result)).toBe("warn threshold")
    expect(result.detail).toContain("memory.percent has a limit and is not in the answer")
  })
})

describe("a service that sleeps", () => {
  const sleepy = service({ coldStartMs: 60_000, latency: { degradedMs: 500, failMs: 5000 } })

  it("woke up when it answered late but in time, and is neither slow nor down", () => {
    const result = judge(sleepy, answered(23_000))
    expect(result).toMatchObject({ outcome: "ok", isCold: true, detail: "woke up in 23.0 s; answered 200" })
  })

  it("is awake when it answered at once", () => {
    expect(judge(sleepy, answered(80))).toEqual(answered(80))
  })

  it("is slow when it took longer than waking up may take", () => {
    expect(verdict(judge(sleepy, answered(61_000)))).toBe("fail slow")
    expect(verdict(judge(service({ coldStartMs: 60_000 }), answered(61_000)))).toBe("warn slow")
  })

  it("is cold after 3 s where nothing says what is slow", () => {
    expect(judge(service({ coldStartMs: 60_000 }), answered(2900)).isCold).toBeUndefined()
    expect(judge(service({ coldStartMs: 60_000 }), answered(3100)).isCold).toBe(true)
  })

  it("is still degraded when it says so itself, or its numbers do", () => {
    const degraded = answered(23_000, { outcome: "warn", failure: { class: "body" } })
    expect(judge(sleepy, degraded)).toMatchObject({ outcome: "warn", isCold: true, failure: { class: "body" } })
    const full = answered(23_000, { numbers: { queue: 11 } })
    expect(verdict(judge({ ...sleepy, numbers: { queue: { fail: 10 } } }, full))).toBe("fail threshold")
  })

  it("gets the time to wake up", () => {
    expect(timeoutFor(sleepy)).toBe(60_000)
    expect(timeoutFor(service({ coldStartMs: 5000 }))).toBe(10_000)
    expect(timeoutFor(service())).toBe(10_000)
  })
})
