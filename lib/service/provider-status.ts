import { z } from "zod"
import { errorText } from "../core/error-text.ts"
import { httpRequest } from "../system/http.ts"

/** What a provider says of itself. `title` is that of its worst incident, in its own words. */
export type ProviderTrouble = { provider: string; title: string; indicator: Indicator; page?: string }

/** Statuspage's words: `maintenance` is planned work that has begun. */
type Indicator = "none" | "minor" | "major" | "critical" | "maintenance"

const indicators = ["none", "maintenance", "minor", "major", "critical"] as const
const event = z.object({ name: z.string(), status: z.string().catch(""), impact: z.enum(indicators).catch("minor") })
const events = z.array(event).catch([])
const summary = z.object({
  page: z.object({ url: z.string().optional() }).catch({}),
  status: z.object({ indicator: z.enum(indicators), description: z.string().catch("") }),
  incidents: events.default([]),
  scheduled_maintenances: events.default([]),
})

const over = new Set(["resolved", "postmortem", "completed"])
const begun = new Set(["in_progress", "verifying"])

/**
 * The trouble that a Statuspage's summary.json tells of; `undefined` when all is well there. Throws when the text is no such summary.
 */
export function parseProviderStatus(text: string, provider: string): ProviderTrouble | undefined {
  const { page, status, incidents, scheduled_maintenances: planned } = parseSummary(text)
  const open = incidents.filter((one) => !over.has(one.status))
  const works = planned
    .filter((one) => begun.has(one.status))
    .map((one) => ({ ...one, impact: "maintenance" as const }))
  const [worst] = [...open, ...works].toSorted((a, b) => indicators.indexOf(b.impact) - indicators.indexOf(a.impact))
  if (!worst && status.indicator === "none") return undefined
  const indicator = status.indicator === "none" ? (worst?.impact ?? "none") : status.indicator
  const title = oneLine(worst?.name ?? status.description) || indicator
  return { provider, title, indicator, ...(page.url && { page: page.url }) }
}

function parseSummary(text: string): z.output<typeof summary> {
  let content: unknown
  try {
    content = JSON.parse(text)
  } catch (cause) {
    throw new Error("the answer is no JSON", { cause })
  }
  const parsed = summary.safeParse(content)
  if (!parsed.success) throw new Error("the answer is not in the shape of a Statuspage's summary.json")
  return parsed.data
}

const maxTitle = 200

/** Whoever writes a provider's status page writes into our messages: one line, of bounded length. */
function oneLine(text: string): string {
  const line = text.replaceAll(/[\p{Cc}\s]+/gu, " ").trim()
  return line.length > maxTitle ? `${line.slice(0, maxTitle)}…` : line
}

export type AskOptions = { timeoutMs: number; signal: AbortSignal }

/**
 * Asks a status page. A page that does not answer says nothing of the provider: then `note` tells why, and there is no trouble.
 * Rejects only with the signal's reason.
 */
export async function askProvider(
  provider: string,
  url: string,
  { timeoutMs, signal }: AskOptions,
): Promise<{ trouble?: ProviderTrouble; note?: string }> {
  try {
    const { status, body } = await httpRequest({ url, timeoutMs, signal, maxBytes: 5_000_000 })
    if (status !== 200) throw new Error(`the answer was ${status}`)
    const trouble = parseProviderStatus(body, provider)
    return trouble ? { trouble } : {}
  } catch (error) {
    signal.throwIfAborted()
    return { note: `the status page of ${provider} says nothing: ${errorText(error)}` }
  }
}
