import type { z } from "zod"
import { databaseSchema } from "./database-schema.ts"
import {
  choice,
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
} from "./fields.ts"
import { serviceSchema } from "./service-schema.ts"

const app = section({
  name: text("the name of your app").describe("Name of the app, as people know it."),
  environment: text("a word such as production")
    .default("production")
    .describe("Which of its installations this is about."),
  timezone: text("a time zone such as Europe/London")
    .refine(isTimeZone, "a time zone such as Europe/London")
    .default("UTC")
    .describe("Time zone of the people who read reports. Schedules and data stay in UTC."),
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
})

/** Everything that `ops.config.ts` may say. */
export const opsConfigSchema = section({
  app: app.describe("What this is about."),
  services: named(serviceSchema).default({}).describe("What is watched and kept warm, by name."),
  canaries: list(httpUrl(), "URLs")
    .default([])
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

function isTimeZone(name: string): boolean {
  try {
    return new Intl.DateTimeFormat("en", { timeZone: name }).resolvedOptions().timeZone !== ""
  } catch {
    return false // RangeError: Intl knows no such zone
  }
}
