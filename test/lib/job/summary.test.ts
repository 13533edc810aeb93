import { stat } from "node:fs/promises"
import { describe, expect, it } from "vitest"
import type { Finding } from "../../../lib/core/finding.ts"
import { escapeCell, truncateMarkdown } from "../../../lib/core/markdown.ts"
import type { Run } from "../../../lib/job/run.ts"
import { annotationsOf, renderSummary, summaryTeller } from "../../../lib/job/tell-summary.ts"
import { recordActions } from "../../support/actions-output.ts"
import { makeCheckout } from "../../support/checkout.ts"

const signal = new AbortController().signal

function teller(file: string, json = false) {
  const actions = recordActions(file)
  return { actions, ...summaryTeller({ env: { GITHUB_STEP_SUMMARY: file }, actions, json }) }
}

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
  it("fails when GitHub's file cannot be written, and is skipped outside Actions", async () => {
    const telling = { run: aRun([]), records: [], page: undefined }
    const outside = summaryTeller({ env: {}, actions: undefined, json: false })
    expect(await outside.tell(telling, signal)).toBe("skipped (not in Actions)")
    await expect(teller("/nowhere/summary.md").tell(telling, signal)).rejects.toThrow("ENOENT")
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
    expect(await teller(file).tell({ run: aRun([]), records: [], page }, signal)).toBe("done")
    const { size } = await stat(file)
    expect(size).toBeLessThanOrEqual(1024 * 1024)
    expect(size).toBeGreaterThan(1024 * 1024 - 200)
    expect((await checkout.read("summary.md")).endsWith("_The rest was left out: the page was too long._\n")).toBe(true)
    expect(truncateMarkdown("short", 10)).toBe("short")
    expect(escapeCell("a\r\nb")).toBe("a b")
  })
})

describe("annotations", () => {
  it("are written beside the summary, but not with --json, which has stdout for itself", async () => {
    await using checkout = await makeCheckout()
    const telling = { run: aRun([finding("fail", "bad"), finding("ok", "fine")]), records: [], page: undefined }
    const [plain, json] = [teller(`${checkout.dir}/plain.md`), teller(`${checkout.dir}/json.md`, true)]
    for (const { tell } of [plain, json]) expect(await tell(telling, signal)).toBe("done")
    expect(plain.actions.annotations).toEqual([{ kind: "error", title: "backup: database/main/backup", text: "bad" }])
    expect(json.actions.annotations).toEqual([])
    expect(await checkout.read("json.md")).toBe(await checkout.read("plain.md"))
  })

  it("are at most ten of each kind, the last of which counts the others", () => {
    const many = Array.from({ length: 14 }, (_, index) => finding("fail", `bad ${index}`, `a:b,${index}`))
    const notes = annotationsOf(aRun([...many, finding("warn", "hm"), finding("ok", "fine")]))
    expect(notes).toHaveLength(11)
    expect(notes[0]).toEqual({ kind: "error", title: "backup: a:b,0", text: "bad 0" })
    expect(notes[9]?.text).toBe("bad 9 (and 4 more in the summary)")
    expect(notes[10]).toEqual({ kind: "warning", title: "backup: database/main/backup", text: "hm" })
  })

  it("are cut to what GitHub shows", () => {
    const [note] = annotationsOf(aRun([finding("fail", "x".repeat(10_000))]))
    expect(note?.text).toHaveLength(4096)
  })
})
