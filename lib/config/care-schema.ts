import { z } from "zod"
import { choice, duration, fraction, list, section, text, whole } from "./fields.ts"
import { severity } from "./service-schema.ts"

const ignored = section({
  check: text("the name of a check").describe("Check that found it, such as `unused-indexes`."),
  item: text("what it found").describe("What it found, such as `public.events_kind`, as the finding names it."),
  until: text("a day such as 2027-01-31")
    .refine((day) => /^\d{4}-\d\d-\d\d$/.test(day) && !Number.isNaN(Date.parse(day)), "a day such as 2027-01-31")
    .describe("Day on which it counts again."),
  reason: text("a reason").describe("Why it may be so until then."),
})

const tuning = section({
  warn: z.number({ error: "a number" }).optional().describe("From here on it is a warning."),
  fail: z.number({ error: "a number" }).optional().describe("From here on it is a failure."),
  severity: severity().optional(),
  off: z.boolean({ error: "true or false" }).default(false).describe("Do not run this check."),
})

const limits = section({
  databaseBytes: whole(1, Number.MAX_SAFE_INTEGER, "a number of bytes").optional().describe("Size of the database."),
  connections: whole(1, 1_000_000, "a number").optional().describe("Connections at a time."),
  rows: whole(1, Number.MAX_SAFE_INTEGER, "a number of rows").optional().describe("Rows of all tables."),
  egressBytes: whole(1, Number.MAX_SAFE_INTEGER, "a number of bytes")
    .optional()
    .describe("Bytes sent in a month; needs `egressSql`."),
})

/** Daily checks, weekly care and the plan's limits of one database. */
export const careSchema = section({
  plan: choice(["supabase-free", "supabase-pro", "neon-free", "render-free", "none"])
    .default("none")
    .describe("The provider's plan, whose limits are watched."),
  limits: limits.prefault({}).describe("Limits of your own; they win over those of the plan."),
  egressSql: text("an SQL query")
    .optional()
    .describe("Query that returns the bytes sent since `$1`, where the provider shows them in the database."),
  exposedSchemas: list(text("the name of a schema"), "schema names")
    .default(["public"])
    .describe("Schemas that clients reach over an API: tables in them want row security."),
  checks: z
    .record(z.string(), tuning, { error: "checks with thresholds, such as { connections: { warn: 70, fail: 90 } }" })
    .default({})
    .describe("Other thresholds, by the name of the check (docs/database-checks.md)."),
  ignore: list(ignored, "findings").default([]).describe("Findings that are known and may stay until a day."),
  actions: list(choice(["analyze", "vacuum", "reindex", "validate"]), "actions")
    .default(["analyze", "vacuum", "reindex", "validate"])
    .describe("What the weekly maintenance may do."),
  actionTimeLimit: duration().prefault("30 minutes").describe("How long one action may take."),
  bloatPercent: fraction(1, 100, "a percentage")
    .default(50)
    .describe("An index with more dead space than this, in percent, is rebuilt."),
})

export type CareConfig = z.output<typeof careSchema>
export type IgnoredItem = z.output<typeof ignored>
export type CareTuning = z.output<typeof tuning>
