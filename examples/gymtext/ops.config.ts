import { defineConfig, secret, variable } from "../../lib/config/define.ts"

/** GymText, fitness coaching by SMS: Next.js on Vercel, Postgres, Twilio, Stripe and language models. */
export default defineConfig({
  app: { name: "GymText", environment: "production", timezone: "America/New_York" },

  services: {
    live: {
      url: "https://gymtext.app/api/health",
      expect: { format: "json" },
      latency: { degradedMs: 2000, failMs: 5000 },
      provider: "vercel",
      severity: "P0",
      objective: { availability: 0.999, days: 30 },
    },
    ready: {
      url: "https://gymtext.app/api/readiness",
      expect: { json: [{ path: "$.checks.database", is: "=", value: "ok" }] },
      latency: { degradedMs: 2000, failMs: 5000 },
      dependsOn: ["live", "db"],
      objective: { availability: 0.999, days: 30 },
    },
    db: {
      postgres: secret("DATABASE_URL"),
      queries: { read: "select id from users limit 1" },
      severity: "P0",
      runbook: "restore-test",
    },
    sms: {
      url: "https://api.twilio.com/2010-04-01/Accounts.json",
      expect: { status: [200, 401] },
      provider: "twilio",
    },
    payments: { url: "https://api.stripe.com/v1/charges", expect: { status: [200, 401] }, provider: "stripe" },
    llm: {
      url: "https://api.openai.com/v1/models",
      headers: { authorization: secret("OPENAI_AUTHORIZATION") },
      latency: { degradedMs: 10_000 },
      timeout: "20 seconds",
      provider: "openai",
      severity: "P2",
    },
  },

  databases: {
    main: {
      url: secret("DATABASE_URL"),
      writeUrl: secret("DATABASE_WRITE_URL"),
      backup: {
        recipients: variable("BACKUP_RECIPIENTS"),
        proof: "full",
        keep: { daily: 30, weekly: 12, monthly: 12 },
        rpoHours: 26,
        rtoMinutes: 240,
      },
      assertions: [
        {
          name: "every message has a user",
          sql: "select m.id from messages m left join users u on u.id = m.user_id where u.id is null",
        },
        {
          name: "who left is forgotten wholly",
          sql: "select id from users where (email is null) <> (phone_hash like 'left-%')",
        },
        {
          name: "no entry of the audit log was changed or taken out",
          sql: `select id from (select a.id, a.hash <> audit_hash(a) as is_changed,
                                       a.previous <> lag(a.hash) over (order by a.id) as follows_another
                                  from audit_log a) chain
                 where is_changed or follows_another`,
        },
      ],
      // Profile changes are kept for ever: no rule names them.
      cleanup: [
        { name: "messages", table: "messages", column: "created_at", olderThan: "90 days", action: "archive" },
        { name: "workouts", table: "workouts", column: "created_at", olderThan: "365 days" },
        { name: "error-logs", table: "error_logs", column: "created_at", olderThan: "30 days" },
        { name: "application-logs", table: "application_logs", column: "created_at", olderThan: "14 days" },
        { name: "metrics", table: "metrics", column: "created_at", olderThan: "365 days" },
        { name: "audit", table: "audit_log", column: "at", olderThan: "365 days" },
        {
          name: "left-users",
          table: "users",
          column: "cancelled_at",
          olderThan: "30 days",
          action: "anonymise",
          set: { email: null, phone_hash: { sql: "'left-' || t.id" } },
        },
        { name: "orphaned-notes", table: "coach_notes", orphans: { column: "user_id", of: "users" }, action: "delete" },
        {
          name: "repeated-notes",
          table: "coach_notes",
          duplicates: { by: ["source_id"], keep: "newest" },
          column: "imported_at",
        },
        {
          name: "hanging-messages",
          table: "messages",
          column: "created_at",
          stuck: { longerThan: "15 minutes", where: "direction = 'out' and delivery = 'queued'" },
        },
      ],
      care: { checks: { connections: { warn: 80, fail: 90 } } },
    },
  },

  alerts: {
    slack: secret("SLACK_WEBHOOK_URL"),
    heartbeat: variable("HEARTBEAT_URL"),
    severities: { "database/main/backup": "P1", "job/*": "P1" },
  },
})
