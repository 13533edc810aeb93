import { defineConfig, secret, variable } from "../../lib/config/define.ts"

/** A first production deployment that costs nothing: the API on Render's free plan, Postgres on Supabase's. */
export default defineConfig({
  app: { name: "MVP", environment: "production", timezone: "Europe/London" },

  services: {
    api: {
      url: "https://mvp-api.onrender.com/api/health",
      expect: { format: "json" },
      latency: { degradedMs: 1000, failMs: 5000 },
      numbers: {
        "services.memory.percent": { warn: 80, fail: 95 },
        "services.disk.percent": { warn: 80, fail: 95 },
      },
      sleepy: { coldStartSeconds: 60 },
      keepWarm: { every: "12 minutes", hours: "07:00-23:00", marker: '"environment"', budgetHours: 750 },
      provider: "render",
      dependsOn: ["db"],
      objective: { availability: 0.99, days: 30 },
    },
    deep: {
      url: "https://mvp-api.onrender.com/api/health/deep",
      expect: { format: "json" },
      timeout: "20 seconds",
      interval: "1 hour",
      sleepy: { coldStartSeconds: 60 },
      dependsOn: ["api"],
      severity: "P2",
    },
    db: {
      postgres: secret("DATABASE_URL"),
      queries: { read: "select id from users limit 1", degradedMs: 500, failMs: 3000 },
      keepWarm: { sql: "select id from users limit 1", every: "6 hours" },
      provider: "supabase",
      objective: { availability: 0.99, days: 30 },
    },
  },

  databases: {
    main: {
      url: secret("DATABASE_URL"),
      writeUrl: secret("DATABASE_WRITE_URL"),
      backup: { recipients: variable("BACKUP_RECIPIENTS"), proof: "full", rpoHours: 26, rtoMinutes: 60 },
      assertions: [{ name: "there are users", sql: "select count(*) from users", expect: { min: 1 } }],
      cleanup: [{ name: "logs", table: "logs", column: "timestamp", olderThan: "30 days" }],
      care: { plan: "supabase-free", limits: { connections: 40 } },
    },
  },

  alerts: { slack: secret("SLACK_WEBHOOK_URL"), heartbeat: variable("HEARTBEAT_URL") },
})
