import { afterEach, beforeEach, describe, expect, it } from "vitest"
import { ConfigError } from "../../../lib/core/config-error.ts"
import { parseWebhookUrl, sendSlack } from "../../../lib/notify/slack.ts"
import { type SlackMessage, section } from "../../../lib/notify/slack-message.ts"
import { type SlackAnswer, type SlackServer, startSlackServer } from "../../support/slack-server.ts"

let slack: SlackServer
beforeEach(async () => {
  slack = await startSlackServer()
})
afterEach(() => slack.close())

const message: SlackMessage = { text: "backup failed", blocks: [section("*backup* failed")] }

async function errorOf(promise: Promise<void>): Promise<string> {
  return promise.then(
    () => "no error",
    (error: unknown) => String(error),
  )
}

describe("a message that Slack does not take", () => {
  const refusals: [SlackAnswer, string][] = [
    ["no_service", "404 no_service: make a new incoming webhook and put its address in the secret"],
    ["invalid_token", "403 invalid_token: make a new incoming webhook"],
    ["action_prohibited", "403 action_prohibited: the workspace forbids this"],
    ["channel_is_archived", "410 channel_is_archived: unarchive the channel"],
    ["invalid_payload", "400 invalid_payload: the message itself is wrong"],
    ["server_error", "500 server_error: Slack has trouble"],
    ["not_slack", "the answer was not Slack's ok"],
  ]
  it.each(refusals)("after %s says what to do, once, without the address", async (answer, expected) => {
    slack.always(answer)
    const error = await errorOf(sendSlack(slack.url, message))
    expect(error).toContain("the message did not reach Slack: ")
    expect(error).toContain(expected)
    expect(error).not.toContain("/services/")
    expect(slack.requests()).toBe(1)
  })

  it("is given up when Slack hangs, breaks the connection or is not there", async () => {
    slack.next("hang", "reset")
    expect(await errorOf(sendSlack(slack.url, message, { timeoutMs: 150 }))).toContain("timed out after 150 ms")
    expect(await errorOf(sendSlack(slack.url, message))).toContain("no answer from 127.0.0.1")
    expect(slack.requests()).toBe(2)
    await slack.close()
    const error = await errorOf(sendSlack(slack.url, message))
    expect(error).toContain("cannot connect to 127.0.0.1")
    expect(error).not.toContain("/services/")
  })

  it("is given up with the signal's reason when the run ends", async () => {
    slack.always("hang")
    const reason = new Error("the run was cancelled")
    await expect(sendSlack(slack.url, message, { signal: AbortSignal.abort(reason) })).rejects.toBe(reason)
    const controller = new AbortController()
    setTimeout(() => controller.abort(reason), 50)
    await expect(sendSlack(slack.url, message, { signal: controller.signal })).rejects.toBe(reason)
  })
})

describe("a busy Slack", () => {
  function notingSleep() {
    const waits: number[] = []
    return { waits, sleep: async (ms: number) => void waits.push(ms) }
  }

  it("is tried again after the time it asks for", async () => {
    slack.next({ rateLimitedSeconds: 7 }, "rate_limited")
    const { waits, sleep } = notingSleep()
    await sendSlack(slack.url, message, { sleep })
    expect(waits).toEqual([7000, 1000])
    expect(slack.received).toHaveLength(1)
  })

  it("is tried three times and not more", async () => {
    slack.always({ rateLimitedSeconds: 2 })
    const { waits, sleep } = notingSleep()
    expect(await errorOf(sendSlack(slack.url, message, { sleep }))).toContain(
      "429 rate limited, 3 times; Slack asks to wait 2.0 s more",
    )
    expect(waits).toEqual([2000, 2000])
    expect(slack.requests()).toBe(3)
  })

  it("is not waited for longer than 30 s in all", async () => {
    const { waits, sleep } = notingSleep()
    slack.next({ rateLimitedSeconds: 20 }, { rateLimitedSeconds: 11 })
    expect(await errorOf(sendSlack(slack.url, message, { sleep }))).toContain("429 rate limited, 2 times")
    expect(waits).toEqual([20_000])
    slack.next({ rateLimitedSeconds: 3600 })
    expect(await errorOf(sendSlack(slack.url, message, { sleep }))).toContain("asks to wait 1 h more")
  })
})

describe("a message that Slack takes", () => {
  it("arrives as it is", async () => {
    await sendSlack(slack.url, message)
    expect(slack.received).toEqual([message])
  })

  it("is cut to what Slack takes", async () => {
    const long = "&amp;😀".repeat(1000)
    await sendSlack(slack.url, { text: long, blocks: Array.from({ length: 80 }, () => section(long)) })
    expect(slack.received).toHaveLength(1)
    expect(JSON.stringify(slack.received[0])).toContain("left out")
    await sendSlack(slack.url, { text: "x", blocks: Array.from({ length: 80 }, (_, i) => section(`block ${i}`)) })
    expect(slack.received[1]?.blocks).toHaveLength(50)
    expect(JSON.stringify(slack.received[1])).toContain("31 more parts left out")
  })

  it("would have been refused without the cut", async () => {
    const tooMany = JSON.stringify({ text: "x", blocks: Array.from({ length: 51 }, () => section("x")) })
    const headers = { "content-type": "application/json" }
    expect(await (await fetch(slack.url, { method: "POST", headers, body: tooMany })).text()).toBe("invalid_blocks")
  })
})

it("names the setting of a webhook address that is none, and not its value", () => {
  expect(parseWebhookUrl(`${slack.url}\n`, "SLACK_WEBHOOK_URL")).toBe(slack.url)
  for (const text of ["T0/B0/s3cr3t", "ftp://hooks.slack.com/s3cr3t", "https://hooks.slack.com"]) {
    expect(() => parseWebhookUrl(text, "SLACK_WEBHOOK_URL")).toThrow(ConfigError)
    expect(() => parseWebhookUrl(text, "SLACK_WEBHOOK_URL")).toThrow(/^SLACK_WEBHOOK_URL (?!.*s3cr3t)/)
  }
})
