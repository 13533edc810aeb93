import { defineConfig, secret, variable } from "../../lib/config/define.ts"

/** The meal planner, an autonomous nutrition control plane: its own server, PostgreSQL job tables, Prometheus, e-mail. */
export default defineConfig({
  app: { name: "Meal planner", environment: "production", timezone: "Europe/Berlin" },

  services: {
    api: {
      url: "https://planner.example.com/health",
      expect: { format: "json" },
      numbers: {
        "queue.depth": { warn: 10 },
        "pool.percent": { warn: 80, fail: 90 },
      },
      latency: { degradedMs: 1000, failMs: 5000 },
      dependsOn: ["db"],
      maintenance: [{ cron: "0 3 * * 0", duration: "30 minutes", reason: "updates of the server" }],
      objective: { availability: 0.995, days: 30 },
    },
    db: {
      postgres: secret("DATABASE_URL"),
      queries: {
        read: "select id from scheduled_jobs limit 1",
        heavy:
          "select status, count(*) from job_executions where started_at > now() - interval '1 hour' group by status",
        degradedMs: 100,
        failMs: 5000,
      },
      severity: "P0",
    },
    prometheus: {
      url: "https://prometheus.planner.example.com/-/healthy",
      expect: { text: "Healthy" },
      severity: "P2",
    },
    mail: { tcp: "mail.planner.example.com:587", severity: "P2" },
  },

  databases: {
    main: {
      url: secret("DATABASE_URL"),
      writeUrl: secret("DATABASE_WRITE_URL"),
      backup: { recipients: variable("BACKUP_RECIPIENTS"), proof: "full", rpoHours: 26, rtoMinutes: 60 },
      assertions: [
        {
          name: "every execution has its job",
          sql: "select e.id from job_executions e left join scheduled_jobs j on j.id = e.job_id where j.id is null",
        },
      ],
      decay: [
        {
          name: "quality",
          table: "pantry",
          column: "quality",
          base: "quality_at_purchase",
          since: "bought_at",
          linear: { amount: 0.05, every: "1 day" },
          thresholds: [{ below: 0.2, action: "mark", set: { state: "old" } }],
        },
      ],
      cleanup: [
        { name: "errors", table: "logs", column: "at", olderThan: "90 days", where: "level = 'error'" },
        {
          name: "information",
          table: "logs",
          column: "at",
          olderThan: "30 days",
          where: "level = 'info'",
          maxShare: 30,
        },
        { name: "debugging", table: "logs", column: "at", olderThan: "7 days", where: "level = 'debug'", maxShare: 50 },
        {
          name: "stuck-executions",
          table: "job_executions",
          column: "started_at",
          stuck: { longerThan: "6 hours", where: "status = 'running'" },
          action: "set",
          set: { status: "failed", error: "nobody finished it" },
        },
        {
          name: "queue-waits",
          table: "job_executions",
          column: "started_at",
          stuck: { longerThan: "15 minutes", where: "status = 'queued'" },
          warnAt: 10,
        },
        {
          name: "retries",
          table: "job_executions",
          column: "started_at",
          stuck: { longerThan: "1 hour", where: "status in ('queued', 'running') and attempts >= 3" },
        },
        // A row a kind, for its first job: the day counts back from the newest execution.
        {
          name: "failing-kinds",
          table: "scheduled_jobs",
          column: "run_at",
          stuck: {
            longerThan: "1 hour",
            where: `status = 'active' and id in (
              select min(j.id) from scheduled_jobs j group by j.kind having j.kind in (
                select j.kind from job_executions e join scheduled_jobs j on j.id = e.job_id
                 where e.started_at > (select max(started_at) from job_executions) - interval '1 day'
                 group by j.kind having 20 * count(*) filter (where e.status = 'failed') > count(*)))`,
          },
        },
        {
          name: "incomplete-weeks",
          table: "scheduled_jobs",
          column: "run_at",
          stuck: {
            longerThan: "6 hours",
            where: `kind = 'weekly-plan' and status = 'active' and not exists (
              select from job_executions e where e.job_id = t.id and e.status = 'done' and e.started_at >= t.run_at)`,
          },
        },
      ],
    },
  },

  alerts: {
    slack: secret("SLACK_WEBHOOK_URL"),
    heartbeat: variable("HEARTBEAT_URL"),
    policy: { reminders: ["15 minutes", "30 minutes", "12 hours", "24 hours", "72 hours"] },
  },
})
