import type { FetchFunction } from "@slack/webhook"
import { ConfigError } from "../core/config-error.ts"
import { formatDuration } from "../core/duration.ts"
import { sleep } from "../system/clock.ts"
import { HttpFailed, type HttpResponse, httpRequest, parseHttpUrl } from "../system/http.ts"
import { createRedactor } from "../system/redact.ts"
import { fitMessage, type SlackMessage } from "./slack-message.ts"
import { isNotTaken, NotTaken } from "./undelivered.ts"

export type SlackOptions = {
  /** For each try. */
  timeoutMs?: number
  signal?: AbortSignal
  /** How to wait between tries. */
  sleep?: (ms: number, signal?: AbortSignal) => Promise<void>
}

type SlackLibrary = typeof import("@slack/webhook")

const maxTries = 3
const maxWaitMs = 30_000

/**
 * Sends a message, cut to Slack's limits. Resolves when Slack said `ok`. Waits as asked when Slack is busy (429), at most
 * 3 tries and 30 s; anything else is not tried again, since the message may have arrived.
 * Rejects with the status, Slack's own words and what to do, never with the webhook's address; with `NotTaken` when it is sure that
 * the message did not arrive: there was no connection, or Slack refused it.
 */
export async function sendSlack(webhookUrl: string, message: SlackMessage, options: SlackOptions = {}): Promise<void> {
  const slack = await import("@slack/webhook") // here, since most runs have nothing to say
  const webhook = new slack.IncomingWebhook(webhookUrl, { fetch: patientFetch(options) })
  try {
    const { text } = await webhook.send(fitMessage(message))
    if (text.trim() !== "ok")
      throw new Error("the answer was not Slack's ok: check that the address is an incoming webhook")
  } catch (error) {
    options.signal?.throwIfAborted()
    const problem = `the message did not reach Slack: ${explain(slack, error, webhookUrl)}`
    throw isRefusal(slack, error) ? new NotTaken(problem) : new Error(problem)
  }
}

/** No connection, or an answer that says no. A 5xx may come from a proxy after Slack took the message. */
function isRefusal(slack: SlackLibrary, error: unknown): boolean {
  if (error instanceof slack.IncomingWebhookHTTPError) return error.statusCode < 500
  if (!(error instanceof slack.IncomingWebhookRequestError)) return false
  const { original } = error
  return isNotTaken(original) || (original instanceof HttpFailed && original.phase === "connect")
}

/** The address of an incoming webhook; a `ConfigError` that names the setting when it is none. */
export function parseWebhookUrl(text: string, name: string): string {
  const url = parseHttpUrl(text, name, "the address of an incoming webhook, https://hooks.slack.com/services/…")
  if (new URL(url).pathname.length > 1) return url
  throw new ConfigError(
    `${name} has no path: set it to the whole address of an incoming webhook, https://hooks.slack.com/services/…`,
  )
}

/** A fetch with a time limit that waits for Slack's `Retry-After`. */
function patientFetch({ timeoutMs = 10_000, signal, sleep: wait = sleep }: SlackOptions): FetchFunction {
  return async (url, init) => {
    let waitedMs = 0
    for (let attempt = 1; ; attempt++) {
      const { headers, body } = init ?? {}
      if (typeof body !== "string") throw new TypeError("a Slack message is sent as text")
      const response = await httpRequest({ url: String(url), method: "POST", headers, body, timeoutMs, signal })
      if (response.status !== 429) return fetchResponse(String(url), response)
      const delayMs = retryAfterMs(response)
      if (attempt === maxTries || waitedMs + delayMs > maxWaitMs) throw new NotTaken(busy(attempt, delayMs))
      await wait(delayMs, signal)
      waitedMs += delayMs
    }
  }
}

function busy(tries: number, delayMs: number): string {
  const count = tries === 1 ? "once" : `${tries} times`
  return `429 rate limited, ${count}; Slack asks to wait ${formatDuration(delayMs)} more: find what else posts to this webhook`
}

function retryAfterMs(response: HttpResponse): number {
  const seconds = Number(response.headers["retry-after"] ?? "")
  return Number.isFinite(seconds) && seconds > 0 ? Math.ceil(seconds * 1000) : 1000
}

function fetchResponse(url: string, { status, headers, body }: HttpResponse): Awaited<ReturnType<FetchFunction>> {
  return {
    ok: status >= 200 && status < 300,
    status,
    statusText: "",
    url,
    headers: { get: (name) => headers[name.toLowerCase()] ?? null, entries: () => Object.entries(headers) },
    text: async () => body,
    json: async () => JSON.parse(body),
    arrayBuffer: async () => new TextEncoder().encode(body).buffer,
  }
}

const newWebhook = "make a new incoming webhook and put its address in the secret"
const remedies: Record<string, string> = {
  invalid_token: newWebhook,
  no_service: newWebhook,
  no_service_id: newWebhook,
  no_active_hooks: newWebhook,
  no_team: newWebhook,
  team_disabled: "the workspace is disabled: ask its owner",
  user_not_found: newWebhook,
  channel_not_found: "the channel is gone: make a webhook for another channel",
  channel_is_archived: "unarchive the channel or make a webhook for another one",
  action_prohibited: "the workspace forbids this: ask an administrator to allow the app to post",
  posting_to_general_channel_denied: "make a webhook for another channel or ask an administrator",
  invalid_payload: "the message itself is wrong: report it as a defect",
  invalid_blocks: "the message itself is wrong: report it as a defect",
  no_text: "the message itself is wrong: report it as a defect",
}

function explain(slack: SlackLibrary, error: unknown, webhookUrl: string): string {
  if (error instanceof slack.IncomingWebhookHTTPError) {
    const { statusCode, body = "" } = error
    const redactor = createRedactor()
    redactor.add(webhookUrl)
    const words = redactor.text(body).replace(/\s+/g, " ").trim().slice(0, 200)
    const remedy =
      remedies[words] ?? (statusCode >= 500 ? "Slack has trouble: see https://slack-status.com" : newWebhook)
    return `${[statusCode, words].filter(Boolean).join(" ")}: ${remedy}`
  }
  if (error instanceof slack.IncomingWebhookRequestError) return error.original.message
  return error instanceof Error ? error.message : String(error)
}
