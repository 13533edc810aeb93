import { readdirSync } from "node:fs"
import { describe, expect, it } from "vitest"
import { advisedClasses } from "../../../lib/incident/advice.ts"
import { drillIncident } from "../../../lib/incident/drill.ts"
import { type Incident, type MessageKind, messageKinds } from "../../../lib/incident/incident.ts"
import { changeComment, incidentText } from "../../../lib/incident/issue-text.ts"
import type { Notice } from "../../../lib/incident/message-title.ts"
import { renderMessage } from "../../../lib/incident/messages.ts"
import { say, unsay } from "../../../lib/incident/say.ts"
import { sendSlack } from "../../../lib/notify/slack.ts"
import { failureClasses } from "../../../lib/service/check.ts"
import { startSlackServer } from "../../support/slack-server.ts"
import { closed, incidentOf, scene, url } from "./examples.ts"

const ack = { by: "ann", at: "2026-03-01T03:25:00.000Z", until: "2026-03-01T07:25:00.000Z" }

const examples: Record<MessageKind, Incident> = {
  opened: incidentOf(),
  worse: incidentOf({ severity: "P0", detail: "api.example.com: no answer within 10 s" }),
  still: incidentOf({ reminders: 2 }),
  recovered: incidentOf({ ...closed, ack, toldAt: "2026-03-01T03:18:00.000Z" }),
  flapping: incidentOf({ state: "flapping", muted: [] }),
  digest: incidentOf({ state: "flapping", muted: [] }),
  reopened: incidentOf({ reopened: 1 }),
  drill: drillIncident(scene.now),
}

function wordsOf(notice: Partial<Notice> & Pick<Notice, "kind" | "about">, at = scene): string {
  const { text, blocks } = renderMessage({ at: at.now, mayBeRepeat: false, ...notice }, at)
  const lines = blocks.map((block) =>
    "elements" in block ? block.elements.map((e) => e.text).join() : block.text.text,
  )
  return [`(${text})`, ...lines].join("\n")
}

const one = (kind: MessageKind, incident = examples[kind]) => wordsOf({ kind, about: [{ incident, url }] })

describe("the message", () => {
  it.each(messageKinds)("%s says all that a person needs at night", (kind) => {
    expect(one(kind)).toMatchSnapshot()
  })

  it("says of a recovery that nobody could be told before", () => {
    expect(one("recovered", incidentOf(closed))).toContain("*Told*  only now: nobody could be reached while it lasted")
    expect(one("recovered")).not.toContain("only now")
  })

  it("does not say that nobody heard of it when only the answer to its opening was lost", () => {
    const opened = {
      id: "opened-1",
      kind: "opened" as const,
      at: "2026-03-01T03:18:00.000Z",
      tries: 1,
      channel: "slack",
    }
    for (const lost of [
      { ...opened, state: "sending" as const },
      { ...opened, state: "given up" as const, mayBeRepeat: true },
    ]) {
      const words = one("recovered", say(unsay(incidentOf({ ...closed, outbox: [lost] })), "recovered", scene.now))
      expect(words).toContain("*Told*  perhaps only now: it is not known whether an earlier message arrived")
      expect(words).not.toContain("nobody could be reached")
    }
  })

  it("of several openings is one, worst first, with the first action of each", () => {
    const others = ["web", "mail"].map((name) => {
      return {
        incident: incidentOf({ subject: `service/${name}`, key: `service/${name}@2026-03-01T03:17Z`, muted: [] }),
      }
    })
    const worst = { incident: incidentOf({ subject: "service/db", severity: "P0", class: "paused" }), url }
    expect(wordsOf({ kind: "opened", about: [...others, worst] })).toMatchSnapshot()
    const told = others.map(({ incident }) => ({ incident: { ...incident, toldAt: incident.openedAt } }))
    expect(wordsOf({ kind: "recovered", about: told })).toMatchSnapshot()
    expect(wordsOf({ kind: "recovered", about: others }).match(/\*Told\* {2}only now/g)).toHaveLength(2)
  })

  it("of many names each of them, and what is special about it, within what Slack takes", async () => {
    await using slack = await startSlackServer()
    const about = Array.from({ length: 40 }, (_, at) => {
      const subject = `service/one-of-many-${at}-`
      return { incident: incidentOf({ subject, key: `${subject}@2026`, detail: "x & y ".repeat(200), muted: [] }), url }
    })
    const notice = { about, at: scene.now, mayBeRepeat: true, notKept: "GitHub is away" }
    await sendSlack(slack.url, renderMessage({ kind: "opened", ...notice }, scene))
    const [sent] = slack.received.map((one) => JSON.stringify(one))
    for (const { incident } of about) expect(sent).toContain(incident.subject)
    expect(sent).toContain("may be a repeat: it is not known")
    expect(sent).toContain("this message is all there is")
  })

  it("of a job that failed says what it means, what was last good, and which commit ran", () => {
    const incident = incidentOf({
      ...{ subject: "job/backup", key: "job/backup@2026-03-02T03:17Z", severity: "P2", class: undefined, muted: [] },
      detail: "STORE_KEY is missing: add the secret\nDATABASE_URL is missing: add the secret",
      runbook: "backup",
      about: {
        impact: "tonight's backup is missing or in doubt",
        firstAction: "correct what the error names, then start backup as a dry run",
        lastGood: "2026-02-28T03:25:00.000Z",
        commit: "0123456789abcdef0123456789abcdef01234567",
        runUrl: "https://github.com/acme/ops/actions/runs/42",
        slot: "2026-03-01T03:17:00.000Z",
      },
    })
    expect(one("opened", incident)).toMatchSnapshot()
  })

  it("says what is special about itself: a repeat, late, all there is", () => {
    const about = [{ incident: incidentOf() }]
    const at = new Date("2026-03-01T03:17:00Z")
    const words = wordsOf({ kind: "opened", about, at, mayBeRepeat: true, notKept: "GitHub answered 502" })
    expect(words.split("\n")[0]).toContain("may be a repeat")
    expect(words.split("\n").slice(-3)).toEqual([
      "may be a repeat: it is not known whether an earlier try arrived; compare the key",
      "late: it was to be said at 2026-03-01 03:17 UTC, and Slack did not take it",
      "this message is all there is: the incident could not be written down (GitHub answered 502)",
    ])
    expect(one("opened")).not.toMatch(/repeat|late:|all there is/)
  })

  it("names who is at it, and does not pretend to know what it does not know", () => {
    expect(one("still", incidentOf({ ack }))).toContain("*Acknowledged*  by ann until 2026-03-01 07:25 UTC")
    expect(one("still", incidentOf({ ack: { ...ack, until: "2026-03-01T03:30:00.000Z" } }))).toContain("by nobody yet")
    const { about: _about, class: _class, runbook: _runbook, ...little } = incidentOf({ muted: [] })
    const words = wordsOf({ kind: "opened", about: [{ incident: little }] }, { ...scene, runUrl: undefined })
    expect(words).toContain("*Last good*  unknown (no history to read)")
    expect(words).toContain("/incident.md|incident>")
    expect(words).not.toMatch(/undefined|open the incident|Answer/)
  })

  it("says who closed it when a person did", () => {
    const resolved = { by: "ann", at: closed.closedAt, reason: "moved to the new host" }
    const words = one("recovered", incidentOf({ ...closed, resolved }))
    expect(words).toContain("closed by ann after 43 min: service/api")
    expect(words).not.toContain("as it should be again")
  })

  it("is taken by Slack and rings nobody's phone, whatever the error says", async () => {
    await using slack = await startSlackServer()
    const nasty = `<!channel> @here <@U123> \`\`\`${"😀&".repeat(3000)}`
    const incident = incidentOf({
      ...{
        subject: `service/${nasty}`,
        key: nasty,
        detail: `${nasty}\n`.repeat(20),
        muted: [nasty, nasty],
        runbook: nasty,
      },
      about: { impact: nasty, firstAction: nasty, commit: nasty, runUrl: nasty },
      ack: { ...ack, by: nasty },
      silence: { ...ack, by: nasty, reason: nasty },
      resolved: { ...ack, by: nasty, reason: nasty },
    })
    for (const kind of messageKinds) {
      const about = [{ incident, url }]
      for (const told of [about, Array.from({ length: 30 }, () => ({ incident, url }))])
        await sendSlack(slack.url, renderMessage({ kind, about: told, at: scene.now, mayBeRepeat: true }, scene))
    }
    expect(slack.received).toHaveLength(2 * messageKinds.length)
    expect(JSON.stringify(slack.received)).not.toMatch(/<!|<@|@here|```/)
  })

  it("has a first action for every class of failure", () => {
    expect(failureClasses.filter((name) => !advisedClasses.includes(name))).toEqual([])
  })
})

describe("the issue of an incident", () => {
  const book = (name: string) => `https://github.com/acme/ops/blob/main/docs/runbooks/${name}.md`
  const textOf = (incident: Incident, isPublic = false) => incidentText(incident, { isPublic, runbookAddress: book })

  it("says what the message says, and what happened", () => {
    const timeline = [
      { at: "2026-03-01T03:17:00.000Z", what: "detected" },
      { at: "2026-03-01T03:25:00.000Z", what: "acknowledged until 2026-03-01 07:25 UTC", by: "ann" },
    ]
    const { title, body } = textOf(incidentOf({ ack, timeline }))
    expect(`${title}\n\n${body}`).toMatchSnapshot()
  })

  it("shows everyone subject, outcome and times, and nothing else", () => {
    const { title, body } = textOf(incidentOf({ ...closed, ack }), true)
    expect(`${title}\n\n${body}`).toMatchSnapshot()
    expect(body).not.toMatch(/503|example|service-status|web|\bann\b|P1/)
  })

  it("mentions nobody and opens no markup, whatever the error says", () => {
    const nasty = "@ann #12 <b> | --> <!-- x --> `code` [a](b) ![c](d)\nsecond"
    const incident = incidentOf({
      detail: nasty,
      muted: [nasty],
      timeline: [{ at: closed.closedAt, what: nasty, by: "@bob" }],
    })
    const { body } = textOf(incident)
    expect(body).not.toMatch(/(?<!`service\/api)@\w|#\d|<b>|<!--|-->|\[a\]\(|(?<!\\)`code/)
    expect(
      body
        .split("\n")
        .filter((line) => line.startsWith("|"))
        .every((line) => line.split(/(?<!\\)\|/).length === 4),
    ).toBe(true)
    expect(changeComment(incident, "worse", false)).not.toMatch(/@\w|<!--/)
  })

  it("tells changes as comments, in public without the error", () => {
    expect(changeComment(incidentOf(), "worse", false)).toBe(
      "Worse: P1, service/api is down.\n\n> api.example.com answered 503, expected 200",
    )
    expect(changeComment(incidentOf(), "worse", true)).toBe("Worse: service/api: fail.")
    expect(changeComment(incidentOf(), "still", false)).toBeUndefined()
  })
})

describe("runbooks that messages name", () => {
  it("are there", () => {
    expect(readdirSync("docs/runbooks")).toContain("incident.md")
  })
})
