import { stat } from "node:fs/promises"
import { Writable } from "node:stream"
import { describe, expect, it } from "vitest"
import type { Finding } from "../../../lib/core/finding.ts"
import { escapeCell, truncateMarkdown } from "../../../lib/job/markdown.ts"
import type { Run } from "../../../lib/job/run.ts"
import { renderAnnotations, renderSummary, summaryTeller } from "../../../lib/job/tell-summary.ts"
import { makeCheckout } from "../../support/checkout.ts"

const signal = new AbortController().signal
const nowhere = new Writable({ write: (_chunk, _encoding, done) => done() })

function aRun(findings: Finding[]): Run {
  return {
    ...({
      schema: 1,
      id: "7-1-backup",
      job: "backup",
      trigger: "schedule",
      dryRun: false,
      traceId: "t1",
      told: {},
    } as const),
    slot: "2026-03-01T03:17:00.000Z",
    startedAt: "2026-03-01T03:19:00.000Z",
    endedAt: "2026-03-01T03:19:12.300Z",
    ...{ outcome: "fail", exitCode: 1, summary: "1 database, 1 failed", findings },
  }
}

const finding = (outcome: Finding["outcome"], detail: string, subject = "database/main/backup"): Finding => ({
  subject,
  outcome,
  detail,
})

describe("the step summary", () => {
  it("fails when GitHub's file is missing or cannot be written, and is skipped outside Actions", async () => {
    const telling = { run: aRun([]), records: [], page: undefined }
    expect(await summaryTeller({}, nowhere).tell(telling, signal)).toBe("skipped (not in Actions)")
    await expect(summaryTeller({ GITHUB_ACTIONS: "true" }, nowhere).tell(telling, signal)).rejects.toThrow(
      "GITHUB_STEP_SUMMARY is missing",
    )
    const env = { GITHUB_ACTIONS: "true", GITHUB_STEP_SUMMARY: "/nowhere/summary.md" }
    await expect(summaryTeller(env, nowhere).tell(telling, signal)).rejects.toThrow("ENOENT")
  })

  it("shows the worst first and lets no text of the world become markup", () => {
    const page = renderSummary(
      aRun([finding("ok", "fine"), finding("fail", "a | b\n<img src=x> @team #1 `x` [l](http://e)")]),
      "## Proof\n\nall equal",
    )
    expect(page).toContain("## backup: failed\n\n1 database, 1 failed\n\n| Subject | Outcome | Detail |")
    const rows = page.split("\n").filter((line) => line.startsWith("| database"))
    expect(rows).toEqual([
      "| database/main/backup | fail | a \\| b &lt;img src=x&gt; @<!-- -->team #<!-- -->1 \\`x\\` \\[l\\](http://e) |",
      "| database/main/backup | ok | fine |",
    ])
    expect(page).toContain("## Proof\n\nall equal")
    expect(page).toContain("slot 2026-03-01T03:17:00.000Z · took 12.3 s")
  })

  it("stays within GitHub's limit, with what is in the file already, and says that it was cut", async () => {
    await using checkout = await makeCheckout()
    const file = await checkout.write("summary.md", "x".repeat(500_000))
    const page = "one line of text, äöü\n".repeat(60_000)
    const env = { GITHUB_ACTIONS: "true", GITHUB_STEP_SUMMARY: file }
    expect(await summaryTeller(env, nowhere).tell({ run: aRun([]), records: [], page }, signal)).toBe("done")
    const { size } = await stat(file)
    expect(size).toBeLessThanOrEqual(1024 * 1024)
    expect(size).toBeGreaterThan(1024 * 1024 - 200)
    expect((await checkout.read("summary.md")).endsWith("_The rest was left out: the page was too long._\n")).toBe(true)
    expect(truncateMarkdown("short", 10)).toBe("short")
    expect(escapeCell("a\r\nb")).toBe("a b")
  })
})

describe("annotations", () => {
  it("are at most ten of each kind, the last of which counts the others, and are commands of one line", () => {
    const many = Array.from({ length: 14 }, (_, index) =>
      finding("fail", `bad ${index}\n::error::fake 100%`, `a:b,${index}`),
    )
    const lines = renderAnnotations(aRun([...many, finding("warn", "hm"), finding("ok", "fine")]))
    expect(lines).toHaveLength(11)
    expect(lines[0]).toBe("::error title=backup%3A a%3Ab%2C0::bad 0%0A::error::fake 100%25")
    expect(lines[9]).toMatch(/^::error .*\(and 4 more in the summary\)$/)
    expect(lines[10]).toBe("::warning title=backup%3A database/main/backup::hm")
  })

  it("are cut to what GitHub shows", () => {
    const [line = ""] = renderAnnotations(aRun([finding("fail", "x".repeat(10_000))]))
    expect(line.split("::").at(-1)).toHaveLength(4096)
  })
})
