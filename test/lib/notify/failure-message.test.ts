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
  impact: "there is no backup of main newer than 2026-02-28",
  error: "pg_dump failed\nserver closed the connection",
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
        "*What*  database/main/backup: pg_dump ended with 1: connection lost",
        "*Since*  2026-03-01 03:17 UTC (2 runs)",
        "*Impact*  there is no backup of main newer than 2026-02-28",
        "*Error*  `pg_dump failed server closed the connection`",
        "*First action*  check that the database is up, then run the job again",
        "*Runbook*  <https://github.com/acme/preppilot-ops/blob/main/docs/runbooks/backup.md|backup>",
        "last success: 2026-02-28 03:25 UTC (2 d ago)  ·  slot 2026-03-02 03:17 UTC  ·  commit `0123456789ab`  ·  <https://github.com/acme/preppilot-ops/actions/runs/42|open the run>",
      ].join("\n"),
    )
    expect(renderFailure(notice).text).toBe(
      "backup failed: PrepPilot (production). pg_dump failed server closed the connection. First action: check that the database is up, then run the job again",
    )
  })

  it("does not pretend to know what it does not know", () => {
    const { since: _since, commit: _commit, runUrl: _runUrl, runbook: _runbook, ...little } = notice
    expect(wordsOf({ ...little, lastSuccess: "unknown" })).toContain("last success: unknown (no history to read)")
    const words = wordsOf({ ...little, findings: [], lastSuccess: "never", runbook: "docs/runbooks/backup.md" })
    expect(words).toContain("last success: never")
    expect(words).toContain("*What*  backup did not do its work of 2026-03-02 03:17 UTC")
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
      error: nasty,
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
