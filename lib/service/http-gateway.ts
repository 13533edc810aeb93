import type { FailureClass } from "./check.ts"
import type { HttpAnswer } from "./http-exchange.ts"

type Problem = { class: FailureClass; words: string }

const pausedWords = "the project is paused: restore it in the dashboard of its host"
const quotaWords = "the quota is used up: see the plan and the usage at its host"

/** What a status means that comes from a host or gateway and not from the app itself; `undefined` for all others. */
export function gatewayFailure({ status }: HttpAnswer, text: string): Problem | undefined {
  if (status === 540) return { class: "paused", words: pausedWords }
  if (status === 402) return { class: "over-quota", words: quotaWords }
  if ((status === 403 || status === 429 || status === 503) && isOverQuota(text))
    return { class: "over-quota", words: quotaWords }
  if (status === 401 || status === 403 || status === 407) {
    return tellPause(text, {
      class: "auth",
      words: "it wants other credentials: check `headers`, or accept this status in `expect.status`",
    })
  }
  return undefined
}

/** The problem, unless the text says that its project is paused. */
export function tellPause(text: string, problem: Problem): Problem {
  return isPaused(text) ? { class: "paused", words: pausedWords } : problem
}

const maxWaitMs = 3600_000

/** How long an answer asks to wait (seconds, or a date), an hour at most. */
export function retryAfterMs({ status, headers }: HttpAnswer, now: Date): number | undefined {
  const text = headers["retry-after"]?.trim()
  if (text === undefined || text === "" || status < 400) return undefined
  const waitMs = /^\d+(\.\d+)?$/.test(text) ? Number(text) * 1000 : Date.parse(text) - now.getTime()
  return Number.isNaN(waitMs) ? undefined : Math.min(Math.max(Math.round(waitMs), 0), maxWaitMs)
}

function isPaused(text: string): boolean {
  return /\bproject\b[^.<>]{0,40}\b(is|has been|was|been)?\s*paused\b/i.test(text.slice(0, 50_000))
}

function isOverQuota(text: string): boolean {
  return /\b(exceed(ed|s)?|over)\b[^.<>]{0,40}\bquota\b|\bquota\b[^.<>]{0,20}\bexceeded\b|exceed_\w+_quota/i.test(
    text.slice(0, 50_000),
  )
}
