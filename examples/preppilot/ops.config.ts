import { defineConfig, secret, variable } from "../../lib/config/define.ts"

/** PrepPilot, a meal-prep planner: Next.js on Vercel, Postgres on Supabase. */
export default defineConfig({
  app: { name: "PrepPilot", environment: "production", timezone: "Europe/London" },

  services: {
    web: {
      url: "https://preppilot.app",
      expect: { text: "PrepPilot" },
      latency: { degradedMs: 1500 },
      objective: { availability: 0.99, days: 30 },
      dependsOn: ["api"],
    },
    api: {
      url: "https://api.preppilot.app/api/health",
      latency: { degradedMs: 500 },
      sleepy: { coldStartSeconds: 60 },
      keepWarm: { hours: "06:00-23:00" },
      objective: { availability: 0.99, days: 30 },
      dependsOn: ["db"],
    },
    db: {
      postgres: secret("DATABASE_URL"),
      provider: "supabase",
      keepWarm: { every: "12 hours", sql: "select id from recipes limit 1" },
      objective: { availability: 0.99, days: 30 },
    },
  },
  canaries: ["https://one.one.one.one", "https://www.gstatic.com/generate_204"],

  databases: {
    main: {
      url: secret("DATABASE_URL"),
      writeUrl: secret("DATABASE_WRITE_URL"),
      backup: {
        recipients: variable("BACKUP_RECIPIENTS"),
        proof: "full",
        keep: { daily: 30, weekly: 12, monthly: 12 },
        rpoHours: 26,
        rtoMinutes: 60,
      },
      assertions: [
        { name: "there are households", sql: "select count(*) from users", expect: { min: 1 } },
        {
          name: "every prep has a user",
          sql: "select p.id from preps p left join users u on u.id = p.user_id where u.id is null",
        },
        {
          name: "no household has two active plans for one week",
          sql: "select user_id, week from plans where status = 'active' group by user_id, week having count(*) > 1",
        },
        { name: "identifiers are hashed", sql: "select id from users where identifier !~ '^[0-9a-f]{64}$'" },
        { name: "freshness is a share", sql: "select id from fridge_items where freshness not between 0 and 1" },
        {
          name: "tables of users are closed by row security",
          sql: `select c.oid::regclass from pg_class c
                  join pg_attribute a on a.attrelid = c.oid and a.attname = 'user_id'
                 where c.relnamespace = 'public'::regnamespace and c.relkind in ('r', 'p')
                   and not c.relispartition and not c.relrowsecurity`,
        },
        {
          name: "the engine has weights of this version",
          sql: "select count(*) from weights where upper_inf(valid)",
          expect: { min: 10 },
        },
      ],
      decay: [
        {
          name: "freshness",
          table: "fridge_items",
          column: "freshness",
          since: "updated_at",
          halfLife: { table: "ingredients", column: "half_life", by: "ingredient_id" },
          where: "discarded_at is null",
          thresholds: [{ below: 0.05, action: "notify" }],
        },
      ],
      cleanup: [
        { name: "sessions", table: "user_sessions", column: "expires_at", olderThan: "30 days" },
        {
          name: "stale-plans",
          table: "plans",
          column: "updated_at",
          olderThan: "30 days",
          where: "status in ('draft', 'stale')",
        },
      ],
      care: {
        plan: "supabase-free",
        ignore: [
          {
            check: "row-security",
            item: "public.ingredients",
            until: "2027-12-31",
            reason: "everybody may read what ingredients there are",
          },
          {
            check: "row-security",
            item: "public.recipe_ingredients",
            until: "2027-12-31",
            reason: "recipes are public",
          },
        ],
      },
    },
  },

  metrics: [
    {
      id: "skipped-per-adapted",
      title: "Skipped preps for each adapted one, per household",
      good: "down",
      target: 0.5,
      database: "main",
      sql: `select round(avg(skipped::numeric / adapted), 2)
              from (select count(*) filter (where outcome = 'skipped') as skipped,
                           nullif(count(*) filter (where outcome = 'adapted'), 0) as adapted
                      from preps where at >= $1 and at < $2 group by user_id) as household`,
    },
    {
      id: "adaptation-success",
      title: "Adaptations that were cooked",
      unit: "%",
      good: "up",
      target: 75,
      database: "main",
      sql: `select round(100.0 * count(*) filter (where outcome = 'adapted') / nullif(count(*), 0), 1)
              from preps where outcome in ('adapted', 'skipped') and at >= $1 and at < $2`,
    },
    {
      id: "time-saved",
      title: "Time saved against the static plan, per household",
      unit: "min",
      good: "up",
      target: 30,
      database: "main",
      sql: `select round(sum(saved_minutes)::numeric / nullif(count(distinct user_id), 0), 1)
              from preps where at >= $1 and at < $2`,
    },
    {
      id: "waste",
      title: "Ingredient waste",
      unit: "%",
      good: "down",
      target: 8,
      database: "main",
      sql: `select round(100.0 * sum(wasted) / nullif(sum(bought), 0), 1)
              from fridge_items where updated_at >= $1 and updated_at < $2`,
    },
    {
      id: "pdf-exports",
      title: "PDF exports",
      good: "up",
      database: "main",
      sql: "select count(*) from pdf_exports where exported_at >= $1 and exported_at < $2",
    },
  ],

  alerts: { slack: secret("SLACK_WEBHOOK_URL"), heartbeat: variable("HEARTBEAT_URL") },
})
