import { defineConfig, secret, variable } from "../../lib/config/define.ts"

/** YumZoom, restaurant discovery: Next.js on Vercel, Supabase, Redis. */
export default defineConfig({
  app: { name: "YumZoom", environment: "production", timezone: "America/Los_Angeles" },

  services: {
    web: {
      url: "https://yumzoom.app",
      expect: { status: [200, 304], text: "YumZoom", noText: "Application error" },
      redirects: 2,
      latency: { degradedMs: 2000 },
      provider: "vercel",
      dependsOn: ["health"],
      objective: { availability: 0.995, days: 30 },
    },
    health: {
      url: "https://yumzoom.app/api/health/detailed",
      numbers: {
        "checks.memory.percent": { warn: 85 },
        "checks.cpu.percent": { warn: 85 },
        "checks.database.connections.percent": { warn: 80, fail: 90 },
      },
      latency: { degradedMs: 2000 },
      dependsOn: ["db", "cache"],
    },
    search: {
      url: "https://yumzoom.app/api/search?q=ramen",
      expect: { json: [{ path: "$.results", is: "length>", value: 0 }] },
      timeout: "5 seconds",
      interval: "1 hour",
      dependsOn: ["web"],
      severity: "P2",
    },
    db: {
      postgres: secret("DATABASE_URL"),
      queries: {
        read: "select id from restaurants limit 1",
        write: "insert into health_checks (checked_at) values (now())",
        heavy: "select cuisine, count(*) from restaurants group by cuisine order by 2 desc limit 10",
        degradedMs: 500,
        failMs: 1000,
      },
      provider: "supabase",
      severity: "P0",
    },
    cache: { redis: secret("REDIS_URL"), numbers: { "memory.usedBytes": { warn: 200_000_000 } }, severity: "P2" },
    places: {
      url: "https://places.example.com/v1/nearby",
      expect: { status: [200, 401] },
      timeout: "5 seconds",
      severity: "P3",
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
      },
      cleanup: [
        { name: "sessions", table: "user_sessions", column: "last_seen_at", olderThan: "30 days" },
        {
          name: "activity-months",
          table: "user_activity",
          column: "created_at",
          olderThan: "90 days",
          action: "drop",
          maxShare: 40,
        },
        { name: "activity", table: "user_activity", column: "created_at", olderThan: "90 days" },
        { name: "uploads", table: "temporary_uploads", column: "created_at", olderThan: "7 days" },
      ],
      care: {
        plan: "supabase-free",
        checks: {
          connections: { warn: 80, fail: 90 },
          "slow-queries": { warn: 1000 },
          "table-sizes": { warn: 1_000_000_000 },
        },
        actions: ["analyze", "reindex", "validate"],
      },
    },
  },

  alerts: { slack: secret("SLACK_WEBHOOK_URL"), heartbeat: variable("HEARTBEAT_URL") },
})
