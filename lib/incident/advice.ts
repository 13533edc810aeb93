import type { Severity } from "../core/severity.ts"

/** What each severity means and how soon somebody must look. docs/incident-response.md shows this table; a test keeps it so. */
export const reactions: Record<Severity, { means: string; look: string; update: string }> = {
  P0: {
    means: "everybody is hit, or data is being lost",
    look: "within 15 minutes, at any hour",
    update: "every 30 minutes",
  },
  P1: {
    means: "an important part is down for many people",
    look: "within 1 hour, at any hour",
    update: "every 2 hours",
  },
  P2: { means: "something is degraded, or a safety net is missing", look: "on the same working day", update: "daily" },
  P3: { means: "a nuisance that nobody outside notices", look: "within a week", update: "when it is solved" },
}

/** The first thing to do, by class of failure; each is the beginning of the runbook `service-<class>`. */
const firstActions: Record<string, string> = {
  dns: "look the name up from your own machine (`dig`), then compare the domain's records and its expiry",
  refused: "see whether the process runs and listens: nothing takes connections on that port",
  unreachable: "look at the host and its network at the provider: no route leads there",
  timeout: "look at the load and the logs of the last deploy: it takes requests and does not answer in time",
  tls: "open it in a browser and read what is wrong with the connection: protocol, name or chain",
  certificate: "renew the certificate, and see why that did not happen by itself",
  reset: "look at the logs of app and proxy for a crash at that minute: the connection was cut",
  protocol: "look at what answers there: it does not speak the expected protocol",
  status: "read the app's log of that minute; if there was a deploy just before, roll it back",
  body: "open the address: something else than the app answers, or an error page",
  assertion: "compare the answer with what the check expects: the error names the value",
  "too-large": "open the address: it answers far more than a health check should",
  "redirect-loop": "follow the redirects by hand (`curl -sIL`): the address leads in a circle",
  paused: "resume the project in the provider's dashboard: it was put to sleep for lack of use",
  "over-quota": "look at usage and billing at the provider: a limit is reached",
  auth: "check the credentials of the check: they are refused",
  query: "run the query of the error by hand, and look for locks and load",
  threshold: "look at the trend of the number in the error: it passed its limit",
  slow: "look at load and slow queries: it works, slower than it should",
  domain: "renew the domain at its registrar today",
}

/** The classes of failure that have a first action. */
export const advisedClasses: readonly string[] = Object.keys(firstActions)

type Seen = { subject: string; outcome: "fail" | "warn"; class?: string }

/** The first thing that a person should do about it. */
export function firstActionFor({ subject, class: failure }: Seen): string {
  const known = failure === undefined ? undefined : firstActions[failure]
  if (known) return known
  const [kind, name = subject] = subject.split("/")
  if (kind === "drill") return "write `/ack 1h` as a comment in the drill, so that it is recorded who heard it"
  if (kind === "job")
    return `open the run, follow the runbook, then start ${name} again: it may run any number of times`
  if (isCare(subject))
    return "open the run: beside each thing that was found are the statements that mend it, and those that undo them"
  if (kind === "service")
    return "open it yourself; if it is bad for you too, look at the last deploy and at the provider"
  return "follow the runbook"
}

/** What it means for the team as long as nothing is done, where nobody said it better. */
export function impactOf({ subject, outcome }: Seen): string {
  const [kind, name = subject] = subject.split("/")
  if (kind === "service")
    return outcome === "fail" ? `who needs ${name} cannot use it` : `${name} works, but worse than it should`
  if (kind === "drill") return "none: it is a drill"
  if (isCare(subject) && outcome === "fail") return `the database ${name} is at risk until it is mended`
  if (kind === "job") return `the work of ${name} is not done, or in doubt`
  return outcome === "fail" ? `${subject} cannot be relied upon` : "none yet: it becomes one when nothing is done"
}

/** What the daily check of a database found, such as `database/main/care/limits`. */
function isCare(subject: string): boolean {
  return /^database\/[^/]+\/care(\/|$)/.test(subject)
}
