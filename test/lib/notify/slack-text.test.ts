import fc from "fast-check"
import { describe, expect, it } from "vitest"
import { codeSpan, escapeSlack, slackLink, truncateSlack } from "../../../lib/notify/slack-text.ts"

const pieces = [
  "<!channel>",
  "<@U0123>",
  "@here",
  "@Channel",
  "@everyone",
  "```",
  "&",
  "<",
  ">",
  "😀",
  "é",
  " ",
  "word",
  "&amp;",
]
const anyText = fc.array(fc.constantFrom(...pieces), { maxLength: 40 }).map((parts) => parts.join(""))

describe("escaped text", () => {
  it("rings no phone and opens no code block", () => {
    fc.assert(
      fc.property(anyText, (text) => {
        const escaped = escapeSlack(text)
        expect(escaped).not.toMatch(/[<>]|@(here|channel|everyone)|```/i)
        expect(escaped.replace(/&(amp|lt|gt);/g, "")).not.toContain("&")
      }),
    )
  })

  it("leaves everything else alone", () => {
    expect(escapeSlack("a < b && c > d, ops@example.com, `code`")).toBe(
      "a &lt; b &amp;&amp; c &gt; d, ops@example.com, `code`",
    )
  })
})

describe("cut text", () => {
  it("is never too long and never cuts a character or an entity in two", () => {
    fc.assert(
      fc.property(anyText, fc.integer({ min: 1, max: 80 }), (text, max) => {
        const escaped = escapeSlack(text)
        const cut = truncateSlack(escaped, max)
        expect(cut.length).toBeLessThanOrEqual(max)
        expect(cut.isWellFormed()).toBe(true)
        expect(cut.replace(/&(amp|lt|gt);/g, "")).not.toContain("&")
        if (escaped.length <= max) expect(cut).toBe(escaped)
        else expect(escaped.startsWith(cut.slice(0, -1))).toBe(true)
      }),
    )
  })

  it("drops a link that would be cut", () => {
    expect(truncateSlack("see <https://example.com/a|the run> now", 20)).toBe("see …")
    expect(truncateSlack("see <https://example.com/a|the run> now and then", 40)).toBe(
      "see <https://example.com/a|the run> now…",
    )
  })
})

describe("a code span", () => {
  it("is one line, closed, and within its limit", () => {
    expect(codeSpan("two\nlines with `ticks` & <tags>", 100)).toBe("`two lines with 'ticks' &amp; &lt;tags&gt;`")
    expect(codeSpan(" \n ", 100)).toBe("`(no text)`")
    fc.assert(
      fc.property(anyText, fc.integer({ min: 3, max: 60 }), (text, max) => {
        const span = codeSpan(text, max)
        expect(span.length).toBeLessThanOrEqual(max)
        expect(span).toMatch(/^`[^`\n]+`$/)
      }),
    )
  })
})

it("links only to web addresses, whatever is in them", () => {
  expect(slackLink("https://github.com/o/r/actions/runs/1?a=1&b=2|x>y", "run <1>")).toBe(
    "<https://github.com/o/r/actions/runs/1?a=1&amp;b=2%7Cx%3Ey|run &lt;1&gt;>",
  )
  expect(slackLink("javascript:alert(1)", "run")).toBe("run")
  expect(slackLink("!channel", "run")).toBe("run")
})
