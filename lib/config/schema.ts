import { z } from "zod"
import { databaseSchema } from "./database-schema.ts"
import {
  choice,
  duration,
  httpUrl,
  list,
  matching,
  named,
  nameOf,
  number,
  secretOrVariableRef,
  secretRef,
  section,
  text,
  timeZone,
  whole,
} from "./fields.ts"
import { serviceSchema, severity } from "./service-schema.ts"

const app = section({
  name: text("the name of your app").describe("Name of the app, as people know it."),
  environment: text("a word such as production")
    .default("production")
    .describe("Which of its installations this is about."),
  timezone: timeZone()
    .default("UTC")
    .describe("Time zone of the people who read reports. Schedules and data stay in UTC."),
  actionsMinutes: whole(1, 1_000_000, "a number of minutes")
    .optional()
    .describe(
      "Minutes of Actions a month that the pulse may bill (2,000 come with a private repository on the Free plan). People are told when its pace would exceed them.",
    ),
})

const metric = section({
  id: matching(/^[a-z][a-z0-9-]{0,39}$/, "a short name of small letters, digits and hyphens").describe(
    "Short name, kept for ever.",
  ),
  title: text("a title").describe("Title in the report."),
  unit: text("a unit such as %").optional().describe("Unit of the number."),
  good: choice(["up", "down"]).describe("Which direction is good news."),
  target: number("a number").optional().describe("What the team wants it to be."),
  database: nameOf("a database").describe("Database that is asked."),
  sql: text("one SQL query").describe(
    "Query that returns one number for the time from `$1` up to, not including, `$2`.",
  ),
})

/** When a finding becomes an incident, and how often people hear of it. */
const policy = section({
  confirmRuns: whole(1, 10, "a number of runs")
    .default(2)
    .describe("Bad runs, of the last `confirmOf`, that open an incident where one run alone does not."),
  confirmOf: whole(1, 20, "a number of runs").default(3).describe("How many runs are looked back for that."),
  closeRuns: whole(1, 10, "a number of runs").default(2).describe("Good runs in a row that close an incident."),
  reminders: list(duration(), "times")
    .prefault(["1 hour", "4 hours", "24 hours", "72 hours"])
    .describe("After how long people are reminded of what is still open; never again after the last."),
  flapCount: whole(2, 50, "a number")
    .default(3)
    .describe("Openings of one subject within `flapWindow` that make it flapping: one message, then digests."),
  flapWindow: duration().prefault("6 hours").describe("Time within which they are counted."),
  digestEvery: duration().prefault("6 hours").describe("How often people hear of what flaps."),
})

/** Where people are told. Parsed on its own when the rest of a configuration is wrong, so that somebody still hears of it. */
export const alertsSchema = section({
  slack: secretRef("SLACK_WEBHOOK_URL")
    .optional()
    .describe(
      "Incoming webhook of the channel that hears about failures. In a public repository the only place that hears their details.",
    ),
  heartbeat: secretOrVariableRef("HEARTBEAT_URL")
    .optional()
    .describe(
      "Ping URL of a Healthchecks-compatible service, which notices when nothing runs any more. `{job}` in it becomes the job's name, so that each job has a check of its own.",
    ),
  policy: policy.prefault({}).describe("When people are told."),
  severities: z
    .record(z.string(), severity(), { error: 'severities such as { "database/main/backup": "P0" }' })
    .default({})
    .describe("Severity by subject, or by its beginning with `*` at the end, such as `database/*`."),
})

/** Everything that `ops.config.ts` may say. */
export const opsConfigSchema = section({
  app: app.describe("What this is about."),
  services: named(serviceSchema).default({}).describe("What is watched and kept warm, by name."),
  canaries: list(httpUrl(), "URLs")
    .default(["https://one.one.one.one", "https://www.gstatic.com/generate_204"])
    .describe(
      "Addresses that always answer. When none of them does, the network here is at fault and no service is called down.",
    ),
  databases: named(databaseSchema).default({}).describe("Postgres databases, by name."),
  metrics: list(metric, "metrics").default([]).describe("Numbers of the weekly report."),
  alerts: alertsSchema.prefault({}).describe("Where people are told."),
})

export type OpsConfig = z.output<typeof opsConfigSchema>
export type OpsConfigInput = z.input<typeof opsConfigSchema>
export type AlertsConfig = z.output<typeof alertsSchema>
