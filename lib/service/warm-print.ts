import type { OpsConfig } from "../config/schema.ts"
import { ConfigError } from "../core/config-error.ts"
import { formatDuration } from "../core/duration.ts"
import { pgCronDispatch, pgCronPings, type WarmPing } from "./pg-cron-text.ts"
import { evenCron, evenStepMs, utcCrons } from "./warm-cron.ts"
import { describeHours } from "./warm-hours.ts"
import { type WarmSettings, warmServices, warmSettings } from "./warmth.ts"

export const printKinds = ["pg_cron", "pg_cron-dispatch", "vercel", "curl"] as const
export type PrintKind = (typeof printKinds)[number]

/** What is to be printed, and what must be known of it but cannot stand in it. */
export type Printed = { text: string; notes: string[] }

/** A service that is kept warm, as far as everybody may know it; without `url` when no scheduler elsewhere could ping it. */
export type WarmOutline = WarmSettings & { url?: string; marker?: string }

/** The services that have `keepWarm`, without asking for any secret. */
export function warmOutlines(ops: OpsConfig): WarmOutline[] {
  return warmServices(ops).map(([name, config]) => {
    const { url = config.url, marker = config.expect?.text } = config.keepWarm
    return { ...warmSettings(name, config, ops.app.timezone), url, marker }
  })
}

/** Minutes of Actions that a month may bill, and what the cron of pulse.yml takes of them, in milliseconds from one run to the next. */
export type MonthlyMinutes = { budget: number; scheduleMs: number }

/** What makes a scheduler elsewhere keep services warm. Throws `ConfigError` when there is nothing that it could ping. */
export function printWarmth(
  kind: PrintKind,
  outlines: readonly WarmOutline[],
  repository: string | undefined,
  now: Date,
  minutes?: MonthlyMinutes,
): Printed {
  const pings = outlines.flatMap(({ url, ...outline }) => (url === undefined ? [] : { ...outline, url }))
  if (pings.length === 0) {
    throw new ConfigError(
      "no service with an address has keepWarm: add keepWarm: {} to one of services in ops.config.ts",
    )
  }
  switch (kind) {
    case "pg_cron":
      return { text: pgCronPings(pings), notes: [ownDatabase] }
    case "pg_cron-dispatch": {
      if (repository === undefined)
        throw new ConfigError("--repository is missing: give it as owner/name of the repository on GitHub")
      const wantedMs = Math.min(...pings.map((ping) => ping.everyMs))
      const everyMs = minutes ? Math.max(wantedMs, fittingMs(minutes)) : wantedMs
      const dispatch = { repository, branch: "main", workflow: "pulse.yml" }
      return {
        text: pgCronDispatch(
          dispatch,
          everyMs,
          pings.map(({ hours }) => hours),
        ),
        notes: [
          minutesNote(everyMs),
          ...(minutes && everyMs > wantedMs ? [fittedNote(wantedMs, everyMs, minutes)] : []),
          branchNote,
        ],
      }
    }
    case "vercel":
      return { text: vercelJson(pings, now), notes: vercelNotes }
    case "curl":
      return { text: pings.map((ping) => curlLine(ping, now)).join(""), notes: [] }
  }
}

const longestMonthMs = 31 * 86_400_000

/** How often the workflow may be started besides its own cron, so that a month stays within the minutes that are wanted. */
function fittingMs({ budget, scheduleMs }: MonthlyMinutes): number {
  const own = Math.ceil(longestMonthMs / scheduleMs)
  if (own >= budget) {
    throw new ConfigError(
      `app.actionsMinutes is ${budget}, and the cron of pulse.yml alone takes ${own} a month: take it out first, or raise the number`,
    )
  }
  return evenStepMs(longestMonthMs / (budget - own))
}

function fittedNote(wantedMs: number, everyMs: number, { budget }: MonthlyMinutes): string {
  return `every ${formatDuration(wantedMs)} was wanted; every ${formatDuration(everyMs)} is what app.actionsMinutes (${budget}) leaves beside the cron of pulse.yml`
}

const ownDatabase =
  "a database cannot be kept awake by itself: what pauses without requests is kept awake by the job, not by this"

const branchNote = "it starts the branch main: where the default branch has another name, write that one behind 'ref'"

const vercelNotes = [
  "Vercel's Hobby plan runs each cron once a day at most, and refuses to deploy one that comes more often: this needs Pro",
  "a cron of Vercel asks a path of its own deployment alone: where the service is elsewhere, make a route that fetches it",
  "its crons know only UTC: hours follow it, summer and winter together",
]

/** A run bills a minute; 2,000 are included for private repositories on the Free plan. */
function minutesNote(everyMs: number): string {
  const runs = Math.ceil((30 * 86_400_000) / everyMs)
  return `every ${evenCron(everyMs).text} around the clock bills up to ${runs.toLocaleString("en-US")} minutes of Actions a month in a private repository (2,000 are included on Free)`
}

function vercelJson(pings: readonly WarmPing[], now: Date): string {
  const crons = pings.flatMap(({ url, hours, everyMs }) => {
    const { pathname, search } = new URL(url)
    return utcCrons(hours, everyMs, now).map((schedule) => ({ path: `${pathname}${search}`, schedule }))
  })
  return `${JSON.stringify({ crons }, null, 2)}\n`
}

/** One line that fails when the app itself did not answer, for any scheduler. */
function curlLine({ name, url, hours, everyMs, wakeMs, marker }: WarmPing, now: Date): string {
  const seconds = Math.ceil(wakeMs / 1000)
  const request = `curl --fail --silent --show-error --location --max-time ${seconds} ${shellWord(url)}`
  const check = marker === undefined ? "--output /dev/null" : `| grep --quiet --fixed-strings -e ${shellWord(marker)}`
  const when = `${describeHours(hours)}; as a cron in UTC: ${utcCrons(hours, everyMs, now).join(" and ")}`
  const line = `${request} ${check}`
  const percent = line.includes("%") ? "; in a crontab write \\% for each %" : ""
  return `# ${name}: every ${evenCron(everyMs).text}, ${when}${percent}\n${line}\n`
}

function shellWord(text: string): string {
  return `'${text.replaceAll("'", `'\\''`)}'`
}
