import { z } from "zod"
import {
  choice,
  duration,
  fraction,
  headerValue,
  httpUrl,
  instant,
  list,
  matching,
  nameOf,
  number,
  secretRef,
  section,
  text,
  timeZone,
  whole,
} from "./fields.ts"

/** How bad it is when this is down. Reaction times are in docs/incident-response.md. */
export const severity = () =>
  choice(["P0", "P1", "P2", "P3"]).describe(
    "How bad it is: P0 (all is down) to P3 (a nuisance). What says nothing has the severity of `alerts.severities`, else P1.",
  )

const weekday = choice(["mon", "tue", "wed", "thu", "fri", "sat", "sun"])
const timeOfDay = matching(/^([01]\d|2[0-3]):[0-5]\d-(([01]\d|2[0-3]):[0-5]\d|24:00)$/, 'hours such as "07:00-22:00"')

const jsonAssertion = section({
  path: text('a JSONPath such as "$.status" or a JSON Pointer such as "/status"').describe(
    "Where the value is: a JSONPath (RFC 9535) or a JSON Pointer (RFC 6901).",
  ),
  is: choice([
    "=",
    "!=",
    "<",
    ">",
    "<=",
    ">=",
    "matches",
    "contains",
    "exists",
    "missing",
    "length=",
    "length<",
    "length>",
  ])
    .default("exists")
    .describe("How it is compared."),
  value: z
    .union([z.string(), z.number(), z.boolean(), z.null()], { error: "a text, a number, true, false or null" })
    .optional()
    .describe("What it is compared with; of `matches` a regular expression."),
})

const headerAssertion = section({
  name: text("the name of a header").describe("Name of the header."),
  is: choice(["=", "!=", "matches", "contains", "exists", "missing"]).default("exists").describe("How it is compared."),
  value: text("a text").optional().describe("What it is compared with."),
})

const threshold = section({
  warn: number("a number").optional().describe("Degraded above this."),
  fail: number("a number").optional().describe("Failed above this."),
})

const maintenance = section({
  from: instant().optional().describe("Begin of a single window."),
  to: instant().optional().describe("End of a single window."),
  cron: text("a cron of five fields").optional().describe("Begin of each recurring window, as a cron of five fields."),
  duration: duration().optional().describe("How long each recurring window is."),
  timezone: timeZone().optional().describe("Time zone of the cron; that of the app unless told."),
  reason: text("a reason").default("maintenance").describe("What people read about it."),
})

const keepWarm = section({
  every: duration().prefault("10 minutes").describe("How often a ping is wanted."),
  hours: timeOfDay
    .default("00:00-24:00")
    .describe("Hours of the day in which it is kept warm; may reach over midnight."),
  days: list(weekday, "days")
    .default(["mon", "tue", "wed", "thu", "fri", "sat", "sun"])
    .describe("Days of the week on which it is kept warm."),
  timezone: timeZone().optional().describe("Time zone of hours and days; that of the app unless told."),
  marker: text("a text")
    .optional()
    .describe("Text that only the app itself answers: a gateway's page does not count. `expect.text` unless told."),
  url: httpUrl().optional().describe("Address that is pinged; the service's own unless told."),
  sql: text("an SQL query")
    .optional()
    .describe("Query on a real table, for a database that pauses; it must return a row."),
  coldMs: whole(1, 600_000, "a number of milliseconds")
    .optional()
    .describe("A first byte later than this was a cold start; 3,000 unless told."),
  budgetHours: number("a number of hours")
    .optional()
    .describe(
      "Hours a month that the host gives (Render's free plan: 750). Where they would not last, only the hours that fit are kept warm.",
    ),
  idleMinutes: whole(1, 43_200, "a number of minutes")
    .optional()
    .describe(
      "Minutes without a request after which the host puts it to sleep; 15 unless told, of a database 10,080 (a week).",
    ),
  atLeast: fraction(0, 1, "a share of the active hours")
    .default(0.5)
    .describe("Share of the active hours that should be warm: below it people hear of it. 0 means never."),
  enoughDays: whole(1, 90, "a number of days")
    .default(30)
    .describe(
      "After so many days without a cold start, in spite of pauses, it is said that keeping warm may no longer be needed.",
    ),
})

/** One thing that people or other services depend on. One of `url`, `tcp`, `dns`, `tls`, `domain`, `postgres`, `redis` says how it is reached. */
export const serviceSchema = section({
  url: httpUrl().optional().describe("Address that is asked over HTTP. One of this and the six below."),
  tcp: matching(/^(\[[0-9a-f:]+\]|[^\s:/]+):\d{1,5}$/i, 'a host and a port such as "mail.example.com:587"')
    .optional()
    .describe("Host and port that must take a connection."),
  dns: section({
    name: text("a name such as example.com").describe("Name that is looked up."),
    type: choice(["A", "AAAA", "CNAME", "MX", "NS", "TXT"]).default("A").describe("Kind of record."),
    values: list(text("a value"), "values").default([]).describe("Values that must be among the answers."),
    server: text("an address such as 1.1.1.1")
      .optional()
      .describe("Server that is asked; the machine's own unless told."),
  })
    .optional()
    .describe("A name that must resolve."),
  tls: matching(/^[^\s:/]+(:\d{1,5})?$/, 'a host such as "example.com" or "example.com:8443"')
    .optional()
    .describe("Host whose certificate is watched: chain, name, and days left (30, 14, 7 and 1 are told)."),
  domain: matching(/^[^\s:/]+\.[^\s:/.]+$/, 'a domain such as "example.com"')
    .optional()
    .describe("Domain whose registration must not run out, where its registry answers RDAP."),
  postgres: secretRef("DATABASE_URL").optional().describe("Postgres that is asked."),
  redis: secretRef("REDIS_URL").optional().describe("Redis that is asked: PING, and a write and read."),

  method: choice(["GET", "HEAD", "POST", "PUT", "OPTIONS"]).default("GET").describe("Method of the request."),
  headers: z
    .record(z.string(), headerValue(), { error: 'headers such as { accept: "application/json" }' })
    .default({})
    .describe('Headers of the request; `secret("NAME")` where nobody may read the value.'),
  body: headerValue().optional().describe("Body of the request, a text or a secret."),
  redirects: whole(0, 20, "a number of redirects").default(5).describe("How many redirects are followed."),
  maxBytes: whole(1, 100_000_000, "a number of bytes").default(1_048_576).describe("How much of the answer is read."),
  caFile: text("a path").optional().describe("Certificates (PEM) that are trusted besides those of the system."),
  queries: section({
    read: text("an SQL query").optional().describe("Query that must return a row."),
    write: text("an SQL statement").optional().describe("Statement that is run and rolled back."),
    heavy: text("an SQL query").optional().describe("Query whose time is watched."),
    degradedMs: whole(1, 600_000, "a number of milliseconds").default(500).describe("Slower queries mean degraded."),
    failMs: whole(1, 600_000, "a number of milliseconds").default(5000).describe("Slower queries mean failed."),
  })
    .optional()
    .describe("What a Postgres is asked besides `select 1`."),
  expect: section({
    status: list(whole(100, 599, "a status"), "statuses")
      .optional()
      .describe("Statuses that are right, such as [200, 401]; any 2xx unless told."),
    text: text("a text that the answer has").optional().describe("Text that the answer must have in it."),
    noText: text("a text that the answer lacks").optional().describe("Text that the answer must not have in it."),
    json: list(jsonAssertion, "assertions").default([]).describe("What must be true of a JSON answer."),
    headers: list(headerAssertion, "assertions").default([]).describe("What must be true of the answer's headers."),
    format: choice(["any", "json"]).default("any").describe("`json` makes a page where JSON was expected a failure."),
  })
    .optional()
    .describe("What a good answer looks like."),
  numbers: z
    .record(z.string(), threshold, { error: 'thresholds such as { "memory.percent": { warn: 80 } }' })
    .default({})
    .describe("Thresholds for numbers in the answer, by their path, such as `memory.percent`."),
  latency: section({
    degradedMs: whole(1, 600_000, "a number of milliseconds")
      .optional()
      .describe("Slower answers, in milliseconds, mean degraded."),
    failMs: whole(1, 600_000, "a number of milliseconds")
      .optional()
      .describe("Slower answers, in milliseconds, mean failed."),
  })
    .optional()
    .describe("How fast it should answer."),
  timeout: duration().prefault("10 seconds").describe("How long one try may take."),
  interval: duration().optional().describe("Looked at no more often than this; at every run unless told."),
  objective: section({
    availability: fraction(0, 0.99999, "a share of the time").describe(
      "Share of the time in which it should be up, such as 0.99.",
    ),
    days: whole(1, 90, "a number of days").default(30).describe("Days over which that is counted."),
  })
    .optional()
    .describe("The availability that was promised."),
  sleepy: section({
    coldStartSeconds: whole(1, 600, "a number of seconds").describe("How long waking up may take, in seconds."),
  })
    .optional()
    .describe("The host puts it to sleep when nobody asks: a slow first answer is a cold start, not an outage."),
  keepWarm: keepWarm.optional().describe("Keep it warm: ping it so that the host does not put it to sleep."),
  provider: z
    .union(
      [
        choice(["supabase", "vercel", "render", "neon", "cloudflare", "github", "fly", "openai", "stripe", "twilio"]),
        httpUrl(),
      ],
      {
        error: 'the name of a provider such as "supabase", or the address of its Statuspage',
      },
    )
    .optional()
    .describe(
      "Whose status page is asked when this fails: a name, or the address of a Statuspage (…/api/v2/summary.json).",
    ),
  maintenance: list(maintenance, "windows")
    .default([])
    .describe("Times in which it may be down: nobody is told, and they are counted apart."),
  severity: severity().optional(),
  runbook: matching(/^[a-z0-9][a-z0-9-/]*$/, "the name of a page below docs/runbooks")
    .optional()
    .describe("Page below docs/runbooks for this service; that of the failure's class unless told."),
  dependsOn: list(nameOf("a service"), "names of services")
    .default([])
    .describe("Services without which this one cannot work: when one of them fails, this one is reported under it."),
})

export type ServiceConfig = z.output<typeof serviceSchema>
