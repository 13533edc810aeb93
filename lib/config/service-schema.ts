import type { z } from "zod"
import { fraction, httpUrl, list, nameOf, secretRef, section, text, whole } from "./fields.ts"

/** One thing that people or other services depend on. `url` or `postgres` says how it is reached. */
export const serviceSchema = section({
  url: httpUrl().optional().describe("Address that is asked. This or `postgres`."),
  postgres: secretRef("DATABASE_URL").optional().describe("Database that is asked. This or `url`."),
  expect: section({
    text: text("a text that the answer has").optional().describe("Text that the answer must have in it."),
  })
    .optional()
    .describe("What a good answer looks like, beside its status."),
  objective: section({
    availability: fraction(0, 0.99999, "a share of the time").describe(
      "Share of the time in which it should be up, such as 0.99.",
    ),
    days: whole(1, 366, "a number of days").default(30).describe("Days over which that is counted."),
  })
    .optional()
    .describe("The availability that was promised."),
  latency: section({
    degradedMs: whole(1, 600_000, "a number of milliseconds").describe(
      "Slower answers, in milliseconds, mean degraded.",
    ),
  })
    .optional()
    .describe("How fast it should answer."),
  sleepy: section({
    coldStartSeconds: whole(1, 600, "a number of seconds").describe("How long waking up may take, in seconds."),
  })
    .optional()
    .describe("The host puts it to sleep when nobody asks: keep it warm."),
  dependsOn: list(nameOf("a service"), "names of services")
    .default([])
    .describe("Services without which this one cannot work."),
})

export type ServiceConfig = z.output<typeof serviceSchema>
