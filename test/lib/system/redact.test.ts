import fc from "fast-check"
import { describe, expect, it } from "vitest"
import { createRedactor } from "../../../lib/system/redact.ts"

function knowing(...secrets: string[]) {
  const redactor = createRedactor()
  for (const secret of secrets) redactor.add(secret)
  return redactor
}

function shiftedBase64(before: string, secret: string): string {
  return Buffer.from(`${before}${secret}:after`).toString("base64")
}

/** How a secret may travel; each is a text from which anyone could read it. */
const disguises: Record<string, (secret: string) => string> = {
  "as it is": (s) => s,
  "in a URL": (s) => encodeURIComponent(s),
  "in a URL, lower case": (s) => encodeURIComponent(s).replace(/%[0-9A-F]{2}/g, (hex) => hex.toLowerCase()),
  "in a form": (s) => new URLSearchParams([["", s]]).toString().slice(1),
  "in JSON": (s) => JSON.stringify(s).slice(1, -1),
  "in JSON in JSON": (s) => JSON.stringify(JSON.stringify(s)).slice(3, -3),
  "in HTML or Slack text": (s) => s.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;"),
  "in base64": (s) => Buffer.from(s).toString("base64"),
  "in base64url": (s) => Buffer.from(s).toString("base64url"),
}

const letter = fc.oneof(
  fc.constantFrom(..." %&+/=<>\"'\\@:#?é😀\u0001aZ09"),
  fc.string({ unit: "binary", minLength: 1, maxLength: 1 }),
)
const secret = fc.string({ unit: letter, minLength: 8, maxLength: 40 }).filter((s) => /^[^*]{8,}$/s.test(s.trim()))
const surroundings = fc.string({ unit: "grapheme-ascii", maxLength: 30 })

describe("a known secret", () => {
  it("survives in none of its forms, wherever it is planted", () => {
    for (const [name, disguise] of Object.entries(disguises)) {
      fc.assert(
        fc.property(secret, surroundings, surroundings, (s, before, after) => {
          const planted = disguise(s)
          const redacted = knowing(s).text(before + planted + after)
          if (planted.length >= 6) expect(redacted, name).not.toContain(planted)
        }),
      )
    }
  })

  it("survives no shift of base64, as in a Basic header with a user name of any length", () => {
    const secret = "c0rrect-horse/battery+staple"
    const redactor = knowing(secret)
    for (const before of ["", "a", "ab", "abc", "postgres:", "someone@example.com:"]) {
      const redacted = redactor.text(`payload ${shiftedBase64(before, secret)}`)
      const rest = Buffer.from(redacted.replace("payload ", ""), "base64").toString("latin1")
      expect(redacted).toContain("***")
      expect(rest).not.toContain("horse")
      expect(rest).not.toContain("battery")
    }
  })

  it("leaves nothing of two secrets that overlap", () => {
    expect(knowing("abcdefgh", "fghijklm").text("<abcdefghijklm>")).toBe("<***>")
    expect(knowing("abcdefgh", "abcdefghijkl").text("abcdefghijkl abcdefgh")).toBe("*** ***")
  })

  it("is hidden line by line when it has several, trimmed or not", () => {
    const redactor = knowing("-first-line-\n  second-line  \r\nthird")
    expect(redactor.text("a -first-line- b")).toBe("a *** b")
    expect(redactor.text("a second-line b")).toBe("a *** b")
    expect(knowing("trailing-newline\n").text("x=trailing-newline")).toBe("x=***")
  })

  it("takes its password with it when it is a connection string", () => {
    const redactor = knowing("postgres://app:p%40ss%2Fword-1@db.example.com:5432/main?sslmode=require")
    expect(redactor.text("password p@ss/word-1 refused")).toBe("password *** refused")
    expect(redactor.text("password p%40ss%2Fword-1 refused")).toBe("password *** refused")
    expect(redactor.text("user app on db.example.com/main")).toBe("user app on db.example.com/main")
    expect(knowing("postgres://app:odd/pass#word@host/db").text("got odd/pass#word")).toBe("got ***")
    expect(knowing("postgres:///main?password=inquery1").text("got inquery1")).toBe("got ***")
    expect(knowing("host=db password='it''s here' user=app").text("no")).toBe("no")
    expect(knowing("host=db password='quoted pw' user=app").text("got quoted pw")).toBe("got ***")
  })

  it("does not hide a user name because the password repeats it", () => {
    const redactor = knowing("postgres://postgres:postgres@localhost:5432/app")
    expect(redactor.text("postgres 15 at localhost")).toBe("postgres 15 at localhost")
    expect(redactor.text("postgres://postgres:postgres@localhost:5432/app")).toBe("***")
  })

  it("takes its path with it when it is a webhook or a ping address", () => {
    const slack = knowing("https://hooks.slack.com/services/T0AAAAAAA/B0BBBBBBB/zzzzzzzzzzzzzzzzzzzzzzzz")
    expect(slack.text("POST /services/T0AAAAAAA/B0BBBBBBB/zzzzzzzzzzzzzzzzzzzzzzzz 404")).toBe("POST *** 404")
    expect(slack.text("token zzzzzzzzzzzzzzzzzzzzzzzz")).toBe("token ***")
    const ping = knowing("https://hc.example.com/ping/9d0e9c2c-5b1e-4b8e-8d0e-1f2e3d4c5b6a?create=1")
    expect(ping.text("hc.example.com/ping/9d0e9c2c-5b1e-4b8e-8d0e-1f2e3d4c5b6a/fail")).not.toContain("9d0e9c2c")
    expect(ping.text("hc.example.com is slow")).toBe("hc.example.com is slow")
  })

  it("is ignored when it is too short to tell from a word", () => {
    expect(knowing("", "no", "abcde").text("no abcde")).toBe("no abcde")
  })
})

describe("a secret nobody told about", () => {
  const cases: [string, string][] = [
    ["connect postgres://app:hunter2@db:5432/x failed", "connect postgres://app:***@db:5432/x failed"],
    ["redis://:hunter2@cache", "redis://:***@cache"],
    ["mysql://a:p@ss:w?rd@host/x", "mysql://a:***@host/x"],
    ["key AGE-SECRET-KEY-1QQQQQQQQQQQQQQQQQQQQ end", "key *** end"],
    ["key AGE-SECRET-KEY-PQ-1QQQQQQQQQQQQQQQQQ end", "key *** end"],
    ["https://hooks.slack.com/services/T0/B0/xyz.", "https://hooks.slack.com/services/***"],
    ["<https://hooks.slack.com/workflows/T0/A0/1/x|hook>", "<https://hooks.slack.com/workflows/***|hook>"],
    [
      String.raw`"https:\/\/hooks.slack.com\/triggers\/E0\/1\/x"`,
      String.raw`"https:\/\/hooks.slack.com\/triggers\/***"`,
    ],
    ["id AKIAIOSFODNN7EXAMPLE.", "id ***."],
    ["aws_secret_access_key = wJalrXUtnFEMI/K7MDENG/bPxRfiCYEX", "aws_secret_access_key = ***"],
    ['{"secretAccessKey":"wJalrXUtnFEMI/K7MDENG"}', '{"secretAccessKey":"***"}'],
    ["?X-Amz-Signature=0011aabb&x=1", "?X-Amz-Signature=***&x=1"],
    ["token ghp_0123456789abcdefghijABCDEFGHIJ012345", "token ***"],
    ["github_pat_11AAAAAAA0123456789_abcdefghijklmnop", "***"],
    ["host=db user=app password=hunter2 dbname=x", "host=db user=app password=*** dbname=x"],
    ["password = 'hun ter\\'2' dbname=x", "password = '***' dbname=x"],
    [
      "USER MAPPING FOR a SERVER b OPTIONS (user 'c', password 'it''s 2')",
      "USER MAPPING FOR a SERVER b OPTIONS (user 'c', password '***')",
    ],
    ["ALTER ROLE a PASSWORD 'hunter2';", "ALTER ROLE a PASSWORD '***';"],
    ["PGPASSWORD=hunter2 pg_dump", "PGPASSWORD=*** pg_dump"],
    ['{"password":"hunter2"}', '{"password":"***"}'],
    ["Authorization: Bearer abc.def", "Authorization: Bearer ***"],
    ["authorization: Basic dTpw", "authorization: Basic ***"],
    ['["authorization","Bearer abc"]', '["authorization","Bearer ***"]'],
    ["sent Basic dXNlcjpodW50ZXIyMg== to", "sent Basic *** to"],
    ["eyJhbGciOiJIUzI1NiJ9.eyJyb2xlIjoic2VydmljZSJ9.c2lnbmF0dXJl", "***"],
    [
      "-----BEGIN RSA PRIVATE KEY-----\nMIIE\n-----END RSA PRIVATE KEY-----",
      "-----BEGIN RSA PRIVATE KEY-----***-----END RSA PRIVATE KEY-----",
    ],
  ]
  it.each(cases)("%s", (text, expected) => {
    expect(createRedactor().text(text)).toBe(expected)
  })
})

describe("innocuous text", () => {
  const cases = [
    "BACKUP_IDENTITY is not an age identity: it must begin with AGE-SECRET-KEY-1",
    "set SLACK_WEBHOOK_URL to the address of an incoming webhook at hooks.slack.com",
    "GET http://localhost:8080/users/a@b.c took 12 ms",
    "http://host:8080?next=a@b",
    "https://user@example.com/x and mailto:someone@example.com",
    "postgres://app@db.example.com:5432/main",
    'password authentication failed for user "app"',
    "basic configuration of the bearer",
    "age1ql3z7hjy54pw3hyww5ayyfg7zqgvc7w3j2elw8zmrj2kg5sfn9aqmcac8p",
    '{"timestamp":"2026-03-01T03:17:00Z","level":"info","sizeBytes":123456789,"sha256":"e3b0c44298fc1c149afbf4c8996fb924"}',
    "authorization is needed for schema auth: grant usage",
  ]
  it.each(cases)("%s", (text) => {
    expect(knowing("unrelated-secret").text(text)).toBe(text)
  })
})

describe("any text", () => {
  const pieces = fc.array(
    fc.oneof(
      surroundings,
      fc.constantFrom(
        "***",
        "password=",
        "://a:",
        "@",
        "'",
        '"',
        "\\",
        "Authorization: ",
        "Basic ",
        "ghp_",
        "s3cr3t-value",
        "AKIA",
      ),
    ),
  )

  it("is redacted once and for all", () => {
    const redactor = knowing("s3cr3t-value")
    fc.assert(
      fc.property(pieces, (parts) => {
        const once = redactor.text(parts.join(""))
        expect(redactor.text(once)).toBe(once)
      }),
    )
  })

  it("stays JSON when it was JSON, and tells no secret when it is read", () => {
    fc.assert(
      fc.property(secret, fc.jsonValue(), pieces, (s, value, parts) => {
        const document = JSON.stringify({ value, parts, text: `${parts.join("")}${s}` })
        const read: unknown = JSON.parse(knowing(s).text(document))
        expect(JSON.stringify(read)).not.toContain(JSON.stringify(s).slice(1, -1))
      }),
    )
    const number = knowing("123456").text('{"port":123456,"ok":true}')
    expect(JSON.parse(number)).toEqual({ port: "***", ok: true })
  })

  it("of a megabyte takes less than 200 ms, however it is made", () => {
    const secrets = Array.from({ length: 8 }, (_, i) => `secret number ${i} with "quotes" & ümlauts/${i}+`)
    const redactor = knowing(...secrets, "aaaaaaaaaaaaaaaaaaaaaaab", "postgres://u:pass-word@host/db")
    const units = [
      "a",
      "a-",
      "://a:",
      "://",
      ":",
      "password=",
      "password='",
      'password="',
      "eyJ-",
      "-eyJa.",
      "ghp_",
      "\\",
      '"',
      "Basic ",
      "Bearer a",
      "authorization: ",
      "AKIA",
      "-----BEGIN ",
      " ",
      "x y ",
      "secret number 3 ",
    ]
    for (const unit of units) {
      const text = unit.repeat(Math.ceil(1_000_000 / unit.length))
      const took = Array.from({ length: 3 }, () => {
        const start = performance.now()
        redactor.text(text)
        return performance.now() - start
      })
      expect(Math.min(...took), JSON.stringify(unit)).toBeLessThan(200) // what else the machine does is no matter of ours
    }
  })
})

describe("a value", () => {
  it("is redacted in depth: keys, strings, numbers that are secrets, errors with their causes, and bytes", () => {
    const redactor = knowing("s3cr3t-value", "987654")
    const value = {
      "key s3cr3t-value": ["s3cr3t-value", { deep: "a s3cr3t-value" }],
      number: 987654,
      count: 12,
      big: 12n,
      none: null,
      when: new Date(0),
      error: new Error("outer", { cause: new Error("with s3cr3t-value") }),
      bytes: Buffer.from("s3cr3t-value"),
      password: "short",
    }
    expect(redactor.value<unknown>(value)).toEqual({
      "key ***": ["***", { deep: "a ***" }],
      number: "***",
      count: 12,
      big: "12",
      none: null,
      when: "1970-01-01T00:00:00.000Z",
      error: "outer: with ***",
      bytes: "12 bytes",
      password: "***",
    })
  })

  it("that contains itself ends somewhere", () => {
    const loop: Record<string, unknown> = { name: "loop" }
    loop.self = loop
    expect(JSON.stringify(createRedactor().value(loop))).toContain("…")
  })
})
