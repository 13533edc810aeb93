import { describe, expect, it } from "vitest"
import { type FailureNotice, renderFailure } from "../../../lib/notify/failure-message.ts"
import { sendSlack } from "../../../lib/notify/slack.ts"
import { startSlackServer } from "../../support/slack-server.ts"

const notice: FailureNotice = {
  app: "PrepPilot",
  environment: "production",
  job: "backup",
  findings: [{ subject: "database/main/backup", outcome: "fail", detail: "pg_dump ended with 1: connection lost" }],
  since: "2026-03-01 03:17 UTC (2 runs)",
  impact: "tonight's backup is missing or in doubt",
  lastSuccess: { at: new Date("2026-02-28T03:25:00Z") },
  commit: "0123456789abcdef0123456789abcdef01234567",
  runUrl: "https://github.com/acme/preppilot-ops/actions/runs/42",
  firstAction: "check that the database is up, then run the job again",
  runbook: "https://github.com/acme/preppilot-ops/blob/main/docs/runbooks/backup.md",
  slot: new Date("2026-03-02T03:17:00Z"),
  now: new Date("2026-03-02T03:25:00Z"),
}

function wordsOf(notice: FailureNotice): string {
  const { blocks } = renderFailure(notice)
  return blocks
    .map((block) => ("elements" in block ? block.elements.map((e) => e.text).join() : block.text.text))
    .join("\n")
}

describe("the message for a failed job", () => {
  it("says all that a person needs at night", () => {
    expect(wordsOf(notice)).toBe(
      [
        "backup failed: PrepPilot (production)",
        "*What*  database/main/backup",
        "*Error*  `pg_dump ended with 1: connection lost`",
        "*Since*  2026-03-01 03:17 UTC (2 runs)",
        "*Impact*  tonight's backup is missing or in doubt",
        "*Last success*  2026-02-28 03:25 UTC (2 d ago)",
        "*First action*  check that the database is up, then run the job again",
        "*Runbook*  <https://github.com/acme/preppilot-ops/blob/main/docs/runbooks/backup.md|backup>",
        "slot 2026-03-02 03:17 UTC  ·  commit `0123456789ab`  ·  <https://github.com/acme/preppilot-ops/actions/runs/42|open the run>",
      ].join("\n"),
    )
    expect(renderFailure(notice).text).toBe(
      "backup failed: PrepPilot (production). pg_dump ended with 1: connection lost. First action: check that the database is up, then run the job again",
    )
  })

  it("gives each error one short line, says nothing twice, and cuts hashes", () => {
    const hash = "d0671ed2570e4b93aa34c1bed1332f0a8dafcacf1cf5f923c34d18b72fdbefc3"
    const seen = (subject: string, detail: string) => ({ subject, outcome: "fail" as const, detail })
    const findings = [
      seen(
        "database/main/restore-test",
        `transport failed: dump.pgc.zst.age: expected SHA-256 ${hash},\nfound ${hash}`,
      ),
      seen("database/shop/restore-test", `cannot read ${"orders, ".repeat(100)}`),
      ...Array.from({ length: 5 }, (_, index) => seen("job/backup", `SETTING_${index} is missing`)),
    ]
    const lines = wordsOf({ ...notice, findings }).split("\n")
    expect(lines.slice(1, 10)).toEqual([
      "*What*  database/main/restore-test",
      "*Error*  `transport failed: dump.pgc.zst.age: expected SHA-256 d0671ed2…, found d0671ed2…`",
      "*What*  database/shop/restore-test",
      expect.stringMatching(/^\*Error\* {2}`cannot read orders, .{0,240}…`$/),
      "*What*  backup did not do its work of 2026-03-02 03:17 UTC",
      "*Error*  `SETTING_0 is missing`",
      "*Error*  `SETTING_1 is missing`",
      "*Error*  `SETTING_2 is missing`",
      "and 2 more",
    ])
    for (const line of lines) expect(line.length).toBeLessThan(300)
  })

  it("does not pretend to know what it does not know", () => {
    const { since: _since, commit: _commit, runUrl: _runUrl, runbook: _runbook, ...little } = notice
    expect(wordsOf({ ...little, lastSuccess: "unknown" })).toContain("*Last success*  unknown (no history to read)")
    const words = wordsOf({ ...little, lastSuccess: "never", runbook: "docs/runbooks/backup.md" })
    expect(words).toContain("*Last success*  never")
    expect(words).toContain("*Runbook*  `docs/runbooks/backup.md`")
    expect(words).not.toMatch(/Since|commit|open the run|undefined/)
  })

  it("is taken by Slack and rings nobody's phone, whatever the error says", async () => {
    await using slack = await startSlackServer()
    const nasty = `<!channel> @here <@U123> \`\`\`${"😀&".repeat(5000)}`
    const findings = Array.from({ length: 40 }, (_, i) => ({
      subject: `service/${i}`,
      outcome: "fail" as const,
      detail: nasty,
    }))
    const hostile = {
      ...notice,
      app: nasty,
      job: nasty,
      since: nasty,
      impact: nasty,
      firstAction: nasty,
      runbook: nasty,
      commit: nasty,
      findings,
    }
    await sendSlack(slack.url, renderFailure(hostile))
    const sent = JSON.stringify(slack.received)
    expect(slack.received).toHaveLength(1)
    expect(sent).not.toMatch(/<!|<@|@here|```/)
    expect(sent).toContain("and 35 more")
    expect(sent).toContain("*First action*")
    expect(sent).toContain("open the run")
    expect(sent).not.toContain("left out")
  })
})
