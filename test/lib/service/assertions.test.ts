import { describe, expect, it } from "vitest"
import { failedHeaderAssertion, failedJsonAssertion, type JsonAssertion } from "../../../lib/service/assertions.ts"

const body = {
  status: "ok",
  note: null,
  count: 12,
  day: "2026-11-20",
  "a/b": [1, 2, 3],
  checks: [
    { name: "db", status: "ok", ms: 4 },
    { name: "redis", status: "down", ms: 900 },
  ],
}
const ask = (path: string, is: JsonAssertion["is"], value?: JsonAssertion["value"], of: unknown = body) =>
  failedJsonAssertion(of, [{ path, is, value }])

describe("a JSON assertion that does not hold", () => {
  const cases: [string, JsonAssertion["is"], JsonAssertion["value"], string][] = [
    ["$.status", "=", "up", '$.status: expected = "up", found "ok"'],
    ["/status", "!=", "ok", '/status: expected != "ok", found "ok"'],
    ["$.count", "<", 12, "$.count: expected < 12, found 12"],
    ["$.count", ">", 12, "$.count: expected > 12, found 12"],
    ["$.count", "<=", 11, "$.count: expected <= 11, found 12"],
    ["$.count", ">=", "12", '$.count: expected >= "12", found 12: these cannot be compared'],
    ["$.status", "matches", "^up", '$.status: expected matches "^up", found "ok"'],
    ["$.status", "contains", "x", '$.status: expected contains "x", found "ok"'],
    ["/nothing", "exists", undefined, "/nothing: expected exists, found nothing there"],
    ["$.nothing", "!=", "fatal", '$.nothing: expected != "fatal", found nothing there'],
    ["$.count", "missing", undefined, "$.count: expected nothing there, found 12"],
    ["/a~1b", "length=", 2, "/a~1b: expected length= 2, found [1,2,3]"],
    ["$.checks[*]", "length<", 2, "$.checks[*]: expected length< 2, found 2 values"],
    ["$.checks[*].status", "=", "ok", '$.checks[*].status: expected = "ok", found "down" at $.checks[1].status'],
    ["$.status", "=", undefined, '$.status: expected =, found "ok": it needs a value to compare with'],
  ]
  it.each(cases)("%s %s %s is told with what was found", async (path, is, value, expected) => {
    expect(await ask(path, is, value)).toBe(expected)
  })

  it("is told as such when path or pattern are none", async () => {
    expect(await ask("status", "exists")).toContain("it is no path")
    expect(await ask("$.[", "exists")).toContain("the path cannot be used")
    expect(await ask("$.status", "matches", "(")).toContain("the pattern is no regular expression")
  })

  it("shows a part of a long value, never a whole body", async () => {
    const problem = await ask("$", "=", "x", { text: "word ".repeat(1000) })
    expect(problem?.length).toBeLessThan(150)
  })
})

describe("a JSON assertion that holds", () => {
  const cases: [string, JsonAssertion["is"], JsonAssertion["value"]][] = [
    ["$.status", "=", "ok"],
    ["$.note", "=", null],
    ["$.note", "exists", undefined],
    ["$.count", ">=", 12],
    ["$.day", ">", "2026-11-01"],
    ["$.status", "matches", "^(ok|up)$"],
    ["$['a/b']", "contains", 2],
    ["$.checks[0]", "contains", "name"],
    ["/checks/0/ms", "<", 5],
    ["$.checks[?@.status=='down']", "length=", 1],
    ["$.checks[?@.status=='gone']", "length=", 0],
    ["$.error", "missing", undefined],
    ["", "length>", 3],
  ]
  it.each(cases)("%s %s %s says nothing", async (path, is, value) => {
    expect(await ask(path, is, value)).toBeUndefined()
  })
})

it("a pattern that never ends is stopped, and a long text is looked at in part", async () => {
  const hostile = await ask("$.text", "matches", "^(a+)+$", { text: `${"a".repeat(60)}!` })
  expect(hostile).toContain("the pattern took too long")
  const long = await ask("$.text", "matches", "end$", { text: `${"a".repeat(20_000)}end` })
  expect(long).toContain("looked at the first 10000 characters")
})

it("an assertion on no JSON at all fails", async () => {
  expect(await failedJsonAssertion(undefined, [{ path: "$.status", is: "exists" }])).toContain("$.status: ")
})

describe("a header assertion", () => {
  const headers = { "cache-control": "no-store", "set-cookie": "session=s3cr3t" }
  it("that does not hold names the header and never what came", () => {
    const failed = failedHeaderAssertion(headers, [{ name: "Set-Cookie", is: "contains", value: "Secure" }])
    expect(failed).toBe('header Set-Cookie: expected contains "Secure", it is there, but otherwise')
    expect(failedHeaderAssertion(headers, [{ name: "x-frame-options", is: "exists" }])).toBe(
      "header x-frame-options: expected exists, it is missing",
    )
    expect(failedHeaderAssertion(headers, [{ name: "set-cookie", is: "missing" }])).toContain("it is there")
  })

  it("that holds says nothing", () => {
    expect(
      failedHeaderAssertion(headers, [
        { name: "Cache-Control", is: "=", value: "no-store" },
        { name: "cache-control", is: "matches", value: "^no-" },
        { name: "server", is: "missing" },
      ]),
    ).toBeUndefined()
  })
})
