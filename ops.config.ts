/*
 * What your app is, where its data lives, and who is told. Nothing runs until this is filled in: the lines that begin
 * with two slashes are settings that are switched off. Take the slashes away, change the names, and run
 *
 *     npm run job -- backup --dry-run
 *
 * which lists everything that is still missing. Each setting is explained in docs/configuration.md.
 * No secret belongs into this file: secret("NAME") and variable("NAME") name what is in the repository's settings.
 */
import { defineConfig } from "./lib/config/define.ts"
// import { secret, variable } from "./lib/config/define.ts"

export default defineConfig({
  app: { name: "My app", environment: "production", timezone: "UTC" },

  /* What people use. Services that a host puts to sleep are kept warm. */
  // services: {
  //   web: { url: "https://app.example.com", expect: { text: "My app" }, objective: { availability: 0.99, days: 30 } },
  //   api: { url: "https://api.example.com/health", latency: { degradedMs: 500 }, sleepy: { coldStartSeconds: 60 }, keepWarm: { hours: "07:00-23:00" }, dependsOn: ["db"] },
  //   db: { postgres: secret("DATABASE_URL") },
  // },

  /* Addresses that always answer: when none of them does, the network is at fault and no service is called down. */
  // canaries: ["https://one.one.one.one", "https://www.gstatic.com/generate_204"],

  // databases: {
  //   main: {
  /* For reading: a read-only role is enough. On Supabase the session pooler, port 5432. */
  //     url: secret("DATABASE_URL"),
  /* For writing: only the jobs that change data get it. */
  //     writeUrl: secret("DATABASE_WRITE_URL"),
  /* The public age keys that may open the backups, one a line: two or more, kept by different people. */
  //     backup: {
  //       recipients: variable("BACKUP_RECIPIENTS"),
  //       proof: "full",
  //       keep: { daily: 30, weekly: 12, monthly: 12 },
  //       rpoHours: 26,
  //       rtoMinutes: 60,
  //     },
  /* What must be true of your data after a restore: the query returns no rows. */
  //     assertions: [{ name: "every prep has a user", sql: "select id from preps where user_id is null" }],
  //     decay: [{ name: "freshness", table: "fridge_items", column: "freshness", since: "updated_at", halfLife: "3 days", floor: 0 }],
  //     cleanup: [{ name: "sessions", table: "user_sessions", column: "expires_at", olderThan: "30 days" }],
  //   },
  // },

  /* The numbers of the weekly report. */
  // metrics: [
  //   {
  //     id: "waste",
  //     title: "Ingredient waste",
  //     unit: "%",
  //     good: "down",
  //     target: 8,
  //     database: "main",
  //     sql: "select 100.0 * count(*) filter (where wasted) / count(*) from fridge_items where updated_at >= $1 and updated_at < $2",
  //   },
  // ],

  /* Who hears of failures, and who notices when nothing runs any more. */
  // alerts: { slack: secret("SLACK_WEBHOOK_URL"), heartbeat: variable("HEARTBEAT_URL") },
})
