import { beforeEach, describe, expect, it } from "vitest"
import { errorText } from "../../../lib/core/error-text.ts"
import type { Incident, IncidentMemory, StoredIncident } from "../../../lib/incident/incident.ts"
import { incidentOf, longAgo, outboxItem, text } from "./sample.ts"

/** A place for incidents, and what people see and do there. */
export type MemoryPlace = {
  /** A memory of the same place, as another process has it. */
  memory(): IncidentMemory
  warnings: string[]
  shown(id: string): Promise<{ title: string; body: string; isOpen: boolean; comments: string[] }>
  /** Puts one there, as another run made it. */
  add(body: string): Promise<void>
  retitle(id: string, title: string): Promise<void>
  edit(id: string, change: (body: string) => string): Promise<void>
  close(id: string): Promise<void>
  reopen(id: string): Promise<void>
  /** A comment of someone who may write. */
  say(id: string, by: string, text: string): Promise<void>
}

export const over = { state: "closed", closedAt: "2026-03-01T04:00:00Z" } as const

/** What every memory must do. `open` gives an empty place for each test. */
export function describeMemory(kind: string, open: () => Promise<MemoryPlace>): void {
  describe(`incidents in ${kind}`, () => {
    let place: MemoryPlace
    beforeEach(async () => {
      place = await open()
    })

    describeDamage(() => place)
    describeTwoAtOnce(() => place)
    describePeople(() => place)
    describeTexts(() => place)
    describeLife(() => place)
  })
}

function describeDamage(place: () => MemoryPlace): void {
  it.each([
    ["torn", (body: string) => body.slice(0, body.indexOf('"incident"') + 40)],
    ["not JSON", (body: string) => body.replace('"incident":{', '"incident":{{')],
    ["of another shape", (body: string) => body.replace('"severity":"P1"', '"severity":"high"')],
  ])("leaves one out whose block is %s, says which, and touches it no more", async (_, damage) => {
    const memory = place().memory()
    const broken = await memory.open(incidentOf("service/web"), text)
    const whole = await memory.open(incidentOf("service/api"), text)
    await place().edit(broken.id, damage)
    const before = await place().shown(broken.id)

    expect((await memory.list(longAgo)).map(({ id }) => id)).toEqual([whole.id])
    expect(place().warnings.join()).toContain(broken.id)
    const failure = await memory.update(broken, incidentOf("service/web", over), text).catch(errorText)
    expect(failure).toContain("left alone")
    expect(await place().shown(broken.id)).toEqual(before)
    await memory.open(incidentOf("service/web"), text)
    expect(await memory.list(longAgo)).toHaveLength(2)
  })

  it("keeps fields that it does not know", async () => {
    const memory = place().memory()
    const stored = await memory.open(incidentOf("service/web", { later: { version: 2 } }), text)
    await memory.update(stored, { ...stored.incident, goodRuns: 1 }, text)

    expect((await memory.list(longAgo))[0]?.incident).toMatchObject({ later: { version: 2 }, goodRuns: 1 })
  })
}

function describeTwoAtOnce(place: () => MemoryPlace): void {
  it("opens no second one for a subject", async () => {
    await place().memory().open(incidentOf("service/web"), text)

    const failure = await place().memory().open(incidentOf("service/web"), text).catch(errorText)
    expect(failure).toContain("service/web has an open incident already")
    expect(await place().memory().list(longAgo)).toHaveLength(1)
  })

  it("loses nothing of what either of two writers says", async () => {
    const outbox = [outboxItem("opened-1"), outboxItem("worse-2")]
    await place().memory().open(incidentOf("service/web", { outbox }), text)
    const [one, two] = [place().memory(), place().memory()]
    const [first] = await one.list(longAgo)
    const [second] = await two.list(longAgo)
    if (!first || !second) throw new Error("nothing was listed")

    const sent = { ...first.incident, outbox: [outboxItem("opened-1", "sent"), outboxItem("worse-2")] }
    const event = { at: "2026-03-01T03:20:00Z", what: "acked", by: "anna" }
    const acked = { ...second.incident, ack: { by: "anna", at: event.at, until: "2026-03-01T07:20:00Z" } }
    await one.update(first, { ...sent, toldAt: "2026-03-01T03:18:00Z" }, text)
    await two.update(
      second,
      { ...acked, timeline: [...acked.timeline, event], outbox: [...acked.outbox, outboxItem("still-3")] },
      text,
    )

    const [{ incident } = { incident: undefined }] = await place().memory().list(longAgo)
    expect(incident?.outbox.map(({ id, state }) => `${id} ${state}`)).toEqual([
      "opened-1 sent",
      "worse-2 pending",
      "still-3 pending",
    ])
    expect(incident).toMatchObject({ toldAt: "2026-03-01T03:18:00Z", ack: { by: "anna" } })
    expect(incident?.timeline.map(({ what }) => what)).toEqual(["detected", "acked"])
  })

  it("notices what changed even when the caller changes what it was given", async () => {
    const memory = place().memory()
    const stored = await memory.open(incidentOf("service/web"), text)
    stored.incident.goodRuns = 2
    await memory.update(stored, stored.incident, text)

    expect((await memory.list(longAgo))[0]?.incident.goodRuns).toBe(2)
  })
}

function describePeople(place: () => MemoryPlace): void {
  it("tells when a person closed it, and opens it again only when that was known", async () => {
    const memory = place().memory()
    const stored = await memory.open(incidentOf("service/web"), text)
    await place().close(stored.id)

    const unaware = await memory.update(stored, { ...stored.incident, goodRuns: 1 }, text)
    expect(unaware.isClosedByPerson).toBe(true)
    expect((await place().shown(stored.id)).isOpen).toBe(false)

    const [closed] = await memory.list(longAgo)
    expect(closed).toMatchObject({ id: stored.id, isClosedByPerson: true, incident: { state: "firing", goodRuns: 1 } })
    const again = await memory.update(
      closed as StoredIncident,
      { ...closed?.incident, reopened: 1 } as Incident,
      text,
      "still bad",
    )
    expect(again.isClosedByPerson).toBe(false)
    const shown = await place().shown(stored.id)
    expect(shown.isOpen).toBe(true)
    expect(shown.comments.join()).toContain("still bad")
  })

  it("takes one that a person opened again for closed, and leaves it so", async () => {
    const memory = place().memory()
    const stored = await memory.open(incidentOf("service/web"), text)
    const closed = await memory.update(stored, { ...stored.incident, ...over }, text)
    await place().reopen(stored.id)

    expect(await memory.list(new Date("2026-03-02T00:00:00Z"))).toEqual([])
    await memory.update(closed, { ...closed.incident, note: "seen" }, text)
    expect((await place().shown(stored.id)).isOpen).toBe(true)
    await memory.open(incidentOf("service/web"), text)
  })

  it("keeps a title that a person gave, and what people wrote around its own text", async () => {
    const memory = place().memory()
    const stored = await memory.open(incidentOf("service/web"), text)
    const renewed = await memory.update(stored, stored.incident, { title: "web is down, worse", body: "502 and 504" })
    expect((await place().shown(stored.id)).title).toBe("web is down, worse")

    await place().retitle(stored.id, "Black Friday")
    await place().edit(
      stored.id,
      (body) => `${body.replace("<!-- nightshift:begin", "Anna looks.\n\n$&")}\r\nCall Bob.`,
    )
    await memory.update(renewed, { ...renewed.incident, goodRuns: 1 }, { title: "web recovers", body: "200 again" })

    const { title, body } = await place().shown(stored.id)
    expect(title).toBe("Black Friday")
    expect(body).toMatch(/Anna looks\.[\s\S]*200 again[\s\S]*Call Bob\./)
    expect(body).not.toContain("504")
    expect((await memory.list(longAgo))[0]?.incident.goodRuns).toBe(1)
  })

  it("gives commands since the last that was read, oldest first, and never its own words", async () => {
    const memory = place().memory()
    const stored = await memory.open(incidentOf("service/web"), text)
    await memory.comment(stored, "/ack 9h is what anna wrote")
    await place().say(stored.id, "anna", "/ack 4h")
    await place().say(stored.id, "anna", "I look at it.")
    await place().say(stored.id, "bob", "/silence 2d the provider works on it")

    const [listed = stored] = await memory.list(longAgo)
    const commands = await memory.commands(listed)
    expect(commands.map(({ by, text, mayCommand }) => [by, text, mayCommand])).toEqual([
      ["anna", "/ack 4h", true],
      ["bob", "/silence 2d the provider works on it", true],
    ])
    expect(commands[0]?.at).toBeInstanceOf(Date)

    const read = await memory.update(listed, { ...listed.incident, readComment: commands[0]?.id }, text, "acked")
    expect((await memory.commands(read)).map(({ by }) => by)).toEqual(["bob"])
  })

  it("has no commands where nobody wrote any", async () => {
    const stored = await place().memory().open(incidentOf("service/web"), text)

    expect(await place().memory().commands(stored)).toEqual([])
  })
}

const hostile = [
  "--> <!-- nightshift:incident v1 {} -->",
  "<!-- nightshift:begin --> <script>alert(1)</script> ```",
  "@everyone @team/ops é 日本 😀 \u0000 \u2028 \ud800 --->",
  'quote " backslash \\ new\nline \r\n $& $1',
]

function describeTexts(place: () => MemoryPlace): void {
  it.each(hostile)("keeps what a failing server may say: %j", async (words) => {
    const memory = place().memory()
    const incident = incidentOf("service/web", {
      detail: words,
      timeline: [{ at: "2026-03-01T03:17:00Z", what: words }],
    })
    const stored = await memory.open(incident, { title: words, body: words })
    await memory.update(stored, { ...stored.incident, goodRuns: 1 }, { title: words, body: `${words} again` }, words)

    const listed = await place().memory().list(longAgo)
    expect(listed.map((other) => other.incident)).toEqual([{ ...incident, goodRuns: 1 }])
    const { title, body, comments } = await place().shown(stored.id)
    expect(title).not.toMatch(/[\r\n]/)
    expect(body.match(/<!-- nightshift:incident v1 \{"title/g)).toHaveLength(1)
    expect(`${body.slice(body.indexOf("nightshift:begin"))}${comments}`).not.toMatch(/(?<!\S)@(everyone|team)/)
    expect(place().warnings).toEqual([])
  })

  it("lets pass what keeps a name from being called", async () => {
    const body = "asked by @<!-- -->anna at ops@team.app, see #<!-- -->1"
    const stored = await place().memory().open(incidentOf("service/web"), { title: "web is down", body })

    expect((await place().shown(stored.id)).body).toContain(body)
  })

  it("takes any subject, title and amount of text, and drops the oldest of what was done first", async () => {
    const timeline = Array.from({ length: 2000 }, (_, index) => {
      return { at: new Date(Date.UTC(2026, 2, 1, 0, index)).toISOString(), what: `event ${index} ${"x".repeat(100)}` }
    })
    const done = Array.from({ length: 500 }, (_, index) => outboxItem(`still-${index}`, "sent"))
    const outbox = [...done, outboxItem("worse-500"), outboxItem("still-501", "sending")]
    const incident = incidentOf("../../etc/Überwachung 100%?#", { timeline, outbox, detail: "y".repeat(100_000) })
    const memory = place().memory()
    const huge = { title: `web\n${"t".repeat(1000)}`, body: "😀\n```\n".repeat(50_000) }
    const stored = await memory.open(incident, huge)
    await memory.update(stored, { ...stored.incident, goodRuns: 1 }, huge, "c".repeat(100_000))

    const [kept] = await memory.list(longAgo)
    expect(kept?.incident.subject).toBe("../../etc/Überwachung 100%?#")
    expect(kept?.incident.timeline.at(-1)).toEqual(timeline.at(-1))
    expect(kept?.incident.outbox.slice(-2)).toEqual(outbox.slice(-2))
    const { title, body } = await place().shown(stored.id)
    expect(title.length).toBeLessThanOrEqual(256)
    expect(body.length).toBeLessThanOrEqual(65_536)
    expect(body).toContain("left out: it was too long")
  })
}

function describeLife(place: () => MemoryPlace): void {
  it("is empty at first", async () => {
    expect(await place().memory().list(longAgo)).toEqual([])
  })

  it("opens, changes, closes and keeps one, and opens the next for the same subject", async () => {
    const memory = place().memory()
    const stored = await memory.open(incidentOf("service/web"), text)
    expect(stored).toMatchObject({ incident: incidentOf("service/web"), isClosedByPerson: false })
    expect(await place().shown(stored.id)).toMatchObject({ title: "web is down", isOpen: true, comments: [] })

    const worse = await memory.update(stored, { ...stored.incident, severity: "P0" }, text, "it is worse")
    await memory.update(worse, { ...worse.incident, ...over }, { ...text, body: "It is well again." }, "recovered")

    const { body, isOpen, comments } = await place().shown(stored.id)
    expect([isOpen, comments.length]).toEqual([false, 2])
    expect(body).toContain("It is well again.")
    const next = await memory.open(incidentOf("service/web"), text)
    expect(next.id).not.toBe(stored.id)
    expect((await memory.list(new Date("2026-03-01T03:59:00Z"))).map(({ id }) => id)).toEqual([stored.id, next.id])
    expect((await memory.list(new Date("2026-03-01T04:01:00Z"))).map(({ id }) => id)).toEqual([next.id])
  })

  it("opens a closed one again when its state says so", async () => {
    const memory = place().memory()
    const stored = await memory.open(incidentOf("service/web"), text)
    const closed = await memory.update(stored, { ...stored.incident, ...over }, text)
    await memory.update(closed, { ...closed.incident, state: "firing", closedAt: undefined }, text)

    expect((await place().shown(stored.id)).isOpen).toBe(true)
    expect((await memory.list(new Date("2026-03-02T00:00:00Z")))[0]?.incident).not.toHaveProperty("closedAt")
  })

  it("lists more than a page of them", async () => {
    const memory = place().memory()
    const first = await memory.open(incidentOf("service/0"), text)
    const { body } = await place().shown(first.id)
    expect(body).toContain("service/0")
    for (let count = 1; count <= 220; count++) await place().add(body.replaceAll("service/0", `service/${count}`))

    expect(new Set((await memory.list(longAgo)).map(({ incident }) => incident.subject)).size).toBe(221)
  })
}
