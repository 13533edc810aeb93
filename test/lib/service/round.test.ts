import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest"
import { findingsOf, observationOf } from "../../../lib/service/findings.ts"
import { lookAround, type Pace, type Round, type RoundOrder } from "../../../lib/service/round.ts"
import type { Service } from "../../../lib/service/service.ts"
import { startTimer } from "../../../lib/system/clock.ts"
import { keptLog, servicesOf } from "../../support/services.ts"
import { type StatuspageServer, startStatuspageServer } from "../../support/statuspage-server.ts"
import { startWebServer, type WebServer } from "../../support/web-server.ts"

const now = new Date("2026-03-01T03:17:00Z")
const nobody = "http://127.0.0.1:1" // nothing listens there
const quick: Partial<Pace> = { retryWaitsMs: [5, 10], confirmAfterMs: [10, 20, 40], canaryTimeoutMs: 500 }

let web: WebServer
let page: StatuspageServer
beforeAll(async () => {
  web = await startWebServer()
  page = await startStatuspageServer()
})
afterAll(async () => {
  await web.close()
  await page[Symbol.asyncDispose]()
})
beforeEach(() => {
  web.setRoute("/ok", { body: "fine" })
  web.setRoute("/down", { status: 500, body: "no" })
  page.answer("well")
})

function look(services: Service[], order: Partial<RoundOrder> = {}): Promise<Round> {
  const { pace, ...rest } = order
  const signal = new AbortController().signal
  const usual = { now, signal, log: keptLog(), canaries: [`${web.url}/ok`], seed: "run" }
  return lookAround(services, { ...usual, ...rest, pace: { ...quick, ...pace } })
}

/** Fails so often, then answers. */
function failTimes(count: number, path: string): void {
  let seen = 0
  web.setRoute(path, (_, response) => {
    response.writeHead(++seen > count ? 200 : 500).end("x")
  })
}

/** An address where connections are taken and nothing is ever said. */
async function withSilence(): Promise<{ url: string } & AsyncDisposable> {
  const server = await startWebServer()
  server.setRoute("/", () => undefined)
  return server
}

const asked = (path: string) => web.requests().filter((request) => request === `GET ${path}`).length

describe("a runner whose own network is broken", () => {
  it("calls nothing down or up when no canary answers, and does not probe again", async () => {
    const services = servicesOf({ ok: { url: `${web.url}/ok` }, gone: { url: nobody } })
    const round = await look(services, { canaries: [nobody, "http://127.0.0.1:2"], pace: { confirmAfterMs: [5000] } })
    expect(findingsOf(round)).toMatchObject([
      { subject: "service/ok", outcome: "unknown", detail: expect.stringContaining("answered 200") },
      {
        subject: "service/gone",
        outcome: "unknown",
        detail: expect.stringMatching(/^the network of this runner is at fault/),
      },
    ])
    expect(findingsOf(round)[1]).not.toHaveProperty("isConfirmed")
    expect(observationOf(round.looks[1] ?? expect.fail())).toMatchObject({ outcome: "unknown" })
    expect(round.notes).toEqual([
      "the network of this runner is at fault: no canary answers (127.0.0.1:1, 127.0.0.1:2)",
    ])
  })

  it("is found out as well when it breaks while a failure is probed again", async () => {
    await using canary = await startWebServer()
    canary.setRoute("/", (_, response) => void response.end("x", () => void canary.close()))
    const round = await look(servicesOf({ gone: { url: nobody } }), { canaries: [canary.url, nobody] })
    expect(round.looks).toMatchObject([{ result: { outcome: "unknown" }, tries: 6, isConfirmed: false }])
  })

  it("is found out also when it swallowed all the time of the round", async () => {
    await using silent = await withSilence()
    const services = servicesOf({ api: { url: silent.url, timeout: "5 minutes" }, gone: { url: nobody } })
    const round = await look(services, { canaries: [silent.url], pace: { deadlineMs: 200, canaryTimeoutMs: 200 } })
    expect(findingsOf(round).map(({ outcome }) => outcome)).toEqual(["unknown", "unknown"])
    expect(findingsOf(round)[1]?.detail).toMatch(/^the network of this runner is at fault/)
  })

  it("says nothing of what runs on the same machine", async () => {
    const round = await look(servicesOf({ gone: { url: nobody } }), { canaries: ["http://canary.invalid"] })
    expect(findingsOf(round)).toMatchObject([{ outcome: "fail", isConfirmed: true }])
  })

  it("is thought of when something is slow, and not asked about when all is well", async () => {
    const slow = servicesOf({ slow: { url: `${web.url}/ok`, latency: { degradedMs: 1 } } })
    web.setRoute("/ok", { body: "fine", delayMs: 30 })
    expect(findingsOf(await look(slow, { canaries: [nobody] }))).toMatchObject([{ outcome: "unknown" }])
    const well = servicesOf({ ok: { url: `${web.url}/ok` } })
    expect(findingsOf(await look(well, { canaries: [nobody] }))).toMatchObject([{ outcome: "ok" }])
  })

  it("is not thought of as long as one canary answers, whatever it says", async () => {
    const round = await look(servicesOf({ gone: { url: nobody } }), { canaries: [nobody, `${web.url}/down`] })
    expect(findingsOf(round)).toMatchObject([{ outcome: "fail", class: "refused" }])
    expect(web.requests()).toContain("HEAD /down")
  })
})

describe("a service that fails", () => {
  it("is tried again, then probed three times more, and then confirmed", async () => {
    const [before, round] = [
      asked("/down"),
      await look(servicesOf({ api: { url: `${web.url}/down`, severity: "P0" } })),
    ]
    expect(findingsOf(round)).toEqual([
      {
        ...{ subject: "service/api", outcome: "fail", class: "status", severity: "P0", isConfirmed: true },
        ...{ runbook: "service-status", detail: expect.stringContaining("500") },
        facts: expect.objectContaining({ status: 500, tries: 6 }),
      },
    ])
    expect(asked("/down") - before).toBe(6)
  })

  it.each([1, 2, 3, 5])("%i times and then answers is as it should be, with a word about it", async (count) => {
    failTimes(count, "/shaky")
    const round = await look(servicesOf({ api: { url: `${web.url}/shaky` } }))
    const [finding] = findingsOf(round)
    const times = count === 1 ? "once" : `${count} times`
    expect(finding).toMatchObject({ outcome: "ok", facts: { tries: count + 1, failedFirst: "status" } })
    expect(finding?.detail).toMatch(new RegExp(`^failed ${times} \\(.*500.*\\), then answered: `))
    expect(finding).not.toHaveProperty("isConfirmed")
    expect(finding).not.toHaveProperty("runbook")
    expect(round.looks.map(observationOf)).toMatchObject([{ outcome: "ok", tries: count + 1 }])
  })

  it("in a way that no second try mends at once is only probed again", async () => {
    web.setRoute("/paused", { status: 540, body: "paused" })
    const round = await look(servicesOf({ db: { url: `${web.url}/paused`, runbook: "restore-test" } }))
    expect(findingsOf(round)).toMatchObject([
      { outcome: "fail", class: "paused", isConfirmed: true, facts: { tries: 4 }, runbook: "restore-test" },
    ])
  })

  it("is waited for as long as it asks, up to a bound", async () => {
    const times: number[] = []
    const elapsed = startTimer()
    web.setRoute("/busy", (_, response) => {
      times.push(elapsed())
      response.writeHead(503, { "retry-after": "7" }).end()
    })
    const pace = { retryWaitsMs: [1], maxRetryAfterMs: 150, confirmAfterMs: [] }
    await look(servicesOf({ api: { url: `${web.url}/busy` } }), { pace })
    const [first = 0, second = 0] = times
    expect(times).toHaveLength(2)
    expect(second - first).toBeGreaterThanOrEqual(145)
    expect(second - first).toBeLessThan(1500)
  })

  it("is not confirmed when nobody probes again", async () => {
    const round = await look(servicesOf({ api: { url: `${web.url}/down` } }), { pace: { confirmAfterMs: [] } })
    expect(findingsOf(round)[0]).toMatchObject({ outcome: "fail", facts: { tries: 3 } })
    expect(findingsOf(round)[0]).not.toHaveProperty("isConfirmed")
  })

  it("in its maintenance window is counted apart, and its failure not probed again", async () => {
    const window = { from: "2026-03-01T03:00Z", to: "2026-03-01T04:00Z", reason: "new disks" }
    const round = await look(servicesOf({ api: { url: `${web.url}/down`, maintenance: [window] } }))
    expect(findingsOf(round)).toMatchObject([
      {
        outcome: "fail",
        inMaintenance: true,
        detail: expect.stringContaining("; new disks until 2026-03-01T04:00:00.000Z"),
      },
    ])
    expect(findingsOf(round)[0]).not.toHaveProperty("isConfirmed")
    expect(round.looks.map(observationOf)).toMatchObject([{ outcome: "fail", inMaintenance: true, tries: 3 }])
  })
})

describe("a service that sleeps", () => {
  const sleeping = (path: string, coldStartSeconds: number) =>
    servicesOf({ api: { url: `${web.url}${path}`, timeout: "0.1s", sleepy: { coldStartSeconds } } })

  it("is no outage while its host answers in its place until it woke up", async () => {
    const elapsed = startTimer()
    web.setRoute("/waking", (_, response) => void response.writeHead(elapsed() < 900 ? 502 : 200).end("x"))
    const [finding] = findingsOf(await look(sleeping("/waking", 1)))
    expect(finding).toMatchObject({ outcome: "ok", facts: { failedFirst: "status" } })
  })

  it("has the time to wake up once, so that one that hangs is confirmed in the same round", async () => {
    web.setRoute("/hang", () => undefined)
    const elapsed = startTimer()
    const round = await look(sleeping("/hang", 1))
    expect(elapsed()).toBeLessThan(2500) // six whole cold starts would be 6 s
    expect(findingsOf(round)).toMatchObject([{ outcome: "fail", class: "timeout", isConfirmed: true }])
  })

  it("with a longer way to wake up than a run may take is left to the next runs", async () => {
    const elapsed = startTimer()
    const round = await look(sleeping("/down", 600))
    expect(elapsed()).toBeLessThan(2500)
    expect(round.looks).toMatchObject([{ result: { outcome: "fail" }, isConfirmed: false }])
  })
})

describe("what is at fault", () => {
  it("is the service at the bottom: those above are listed under it, and none is left out", async () => {
    const services = servicesOf({
      web: { url: `${web.url}/down`, dependsOn: ["api"] },
      api: { url: `${web.url}/down`, dependsOn: ["db"] },
      db: { url: nobody },
      mail: { url: `${web.url}/ok`, dependsOn: ["db"] },
    })
    expect(findingsOf(await look(services))).toMatchObject([
      {
        subject: "service/web",
        outcome: "fail",
        cause: "service/db",
        detail: expect.stringContaining("because of service/db"),
      },
      { subject: "service/api", outcome: "fail", cause: "service/db" },
      { subject: "service/db", outcome: "fail", isConfirmed: true },
      { subject: "service/mail", outcome: "ok" },
    ])
  })

  it("is the provider that says so, for what fails under it directly or not", async () => {
    page.answer("several incidents")
    const services = servicesOf({
      web: { url: `${web.url}/down`, dependsOn: ["db"], severity: "P0" },
      db: { url: nobody, provider: page.url, severity: "P2" },
      other: { url: `${web.url}/down` },
    })
    const round = await look(services)
    const subject = `provider/${page.host}`
    expect(findingsOf(round)).toMatchObject([
      { subject: "service/web", cause: subject },
      { subject: "service/db", cause: subject },
      { subject: "service/other", outcome: "fail" },
      {
        ...{ subject, outcome: "fail", severity: "P0", isConfirmed: true, runbook: "service-provider" },
        detail: expect.stringMatching(/Connections to databases in eu-west-2 fail.*under it: web, db$/),
      },
    ])
    expect(findingsOf(round)[2]).not.toHaveProperty("cause")
    expect(round.looks.map(observationOf)[0]).toMatchObject({ cause: subject })
  })

  it("is nobody else when the status page is silent or all is well there, and it is asked only when something fails", async () => {
    const before = page.requests()
    await look(servicesOf({ ok: { url: `${web.url}/ok`, provider: page.url } }))
    expect(page.requests()).toBe(before)
    const services = servicesOf({ db: { url: nobody, provider: page.url }, two: { url: nobody, provider: page.url } })
    const well = await look(services)
    expect(page.requests()).toBe(before + 1)
    expect(findingsOf(well).map(({ cause }) => cause)).toEqual([undefined, undefined])
    page.answer("error")
    const silent = await look(services)
    expect(findingsOf(silent).map(({ subject }) => subject)).toEqual(["service/db", "service/two"])
    expect(silent.notes).toEqual([expect.stringContaining("says nothing: the answer was 503")])
  })
})

describe("a round", () => {
  it("has a deadline: what was not seen by then is unknown, and what was seen counts", async () => {
    web.setRoute("/hang", () => undefined)
    const services = servicesOf({
      ok: { url: `${web.url}/ok` },
      hang: { url: `${web.url}/hang` },
      gone: { url: nobody },
    })
    const elapsed = startTimer()
    const round = await look(services, { pace: { deadlineMs: 300, confirmAfterMs: [60_000] } })
    expect(elapsed()).toBeLessThan(3000)
    expect(findingsOf(round)).toMatchObject([
      { outcome: "ok" },
      { outcome: "unknown", detail: "not looked at: the time of the round was over" },
      { outcome: "fail", class: "refused" },
    ])
    expect(findingsOf(round)[2]).not.toHaveProperty("isConfirmed")
  })

  it("ends with the run, for the run's reason", async () => {
    web.setRoute("/hang", () => undefined)
    const stop = new AbortController()
    const reason = new Error("received SIGTERM")
    const round = look(servicesOf({ hang: { url: `${web.url}/hang` } }), { signal: stop.signal })
    setTimeout(() => stop.abort(reason), 50)
    await expect(round).rejects.toBe(reason)
    const waiting = look(servicesOf({ gone: { url: nobody } }), {
      signal: AbortSignal.any([AbortSignal.timeout(200)]),
      pace: { confirmAfterMs: [60_000] },
    })
    await expect(waiting).rejects.toThrow(/timeout/)
  })

  it("looks at no more services at once than it may, and at all of them", async () => {
    let [open, most] = [0, 0]
    web.setRoute("/count", async (_, response) => {
      most = Math.max(most, ++open)
      await new Promise((resolve) => setTimeout(resolve, 20))
      open--
      response.end("x")
    })
    const many = Object.fromEntries(Array.from({ length: 23 }, (_, at) => [`s${at}`, { url: `${web.url}/count` }]))
    const round = await look(servicesOf(many), { pace: { limit: 4 } })
    expect(round.looks.map(({ service, result }) => [service.name, result.outcome])).toEqual(
      Object.keys(many).map((name) => [name, "ok"]),
    )
    expect(most).toBe(4)
  })

  it("leaves out what was looked at lately, but for what a failing service depends on", async () => {
    const lately = { url: `${web.url}/ok`, interval: "1 hour" }
    const services = servicesOf({
      slow: lately,
      db: lately,
      due: lately,
      web: { url: `${web.url}/down`, dependsOn: ["db"] },
    })
    const ago = (minutes: number) => new Date(now.getTime() - minutes * 60_000)
    const lastLooks = new Map([
      ["slow", ago(50)],
      ["db", ago(30)],
      ["due", ago(55)],
      ["web", ago(1)],
    ])
    const round = await look(services, { lastLooks })
    expect(round.looks.map(({ service }) => service.name)).toEqual(["db", "due", "web"])
    expect(round.notDue.map(({ name }) => name)).toEqual(["slow"])
  })

  it("goes on when our own code breaks at one service, and says so", async () => {
    const services = servicesOf({ broken: { url: nobody }, ok: { url: `${web.url}/ok` } })
    const [broken] = services
    if (broken) broken.probe = { kind: "postgres", address: undefined as never }
    const log = keptLog()
    const round = await look(services, { log })
    expect(round.looks).toMatchObject([
      { isDefect: true, result: { outcome: "unknown" } },
      { result: { outcome: "ok" } },
    ])
    expect(log.lines).toEqual([expect.stringMatching(/^looking at broken broke: /)])
  })
})
