import { describe, expect, it } from "vitest"
import { loadConfig, parseConfig, salvageAlerts } from "../../../lib/config/load.ts"
import { ConfigError } from "../../../lib/core/config-error.ts"
import { configText, makeCheckout } from "../../support/checkout.ts"

const secretUrl = "postgres://alice:hunter22-never-shown@db.example.com/shop"

async function problemsOf(config: string): Promise<readonly string[]> {
  await using checkout = await makeCheckout()
  const file = await checkout.write("ops.config.ts", configText(config))
  const error = await loadConfig(file).catch((error: unknown) => error)
  if (!(error instanceof ConfigError)) throw new Error("the configuration has no problems", { cause: error })
  return error.problems.map((problem) => problem.replace(`${file}: `, ""))
}

describe("a file that does not load", () => {
  it("says where it looked when there is none", async () => {
    await expect(loadConfig("/nowhere/ops.config.ts")).rejects.toThrow(
      /^\/nowhere\/ops\.config\.ts cannot be read: ENOENT.*--config FILE$/,
    )
  })

  it.each([
    ["a syntax error", "export default {", /cannot be loaded: /],
    ["an exception", 'throw new Error("the moon is full")', /cannot be loaded: the moon is full/],
    ["an import that is missing", 'import "./gone.ts"\nexport default {}', /cannot be loaded: .*gone\.ts/],
    ["no default export", "export const config = {}", /has no default export: end it with export default defineConfig/],
  ])("gives one problem for %s", async (_what, text, expected) => {
    await using checkout = await makeCheckout()
    const file = await checkout.write("broken.config.ts", text)
    const error = await loadConfig(file).catch((error: unknown) => error)
    expect(error).toBeInstanceOf(ConfigError)
    expect((error as ConfigError).problems).toEqual([expect.stringMatching(expected)])
  })
})

describe("a file with mistakes", () => {
  it("names every problem at once, with its path, what was found and what it takes", async () => {
    const problems = await problemsOf(`
      app: { name: "", timezone: "Mars/Olympus" },
      services: { web: { url: "ftp://example.com", dependsOn: ["wbe"] }, Bad_Name: { url: "https://example.com" } },
      databases: { main: {
        url: variable("DATABASE_URL"),
        backup: { recipients: variable("lower case"), proof: "all", rpoHours: "26h", keep: { daily: 0 }, proofTimeLimit: "soon" },
        assertions: [{ name: "a", sql: 1 }],
        cleanup: [{ name: "sessions", table: "sessions", column: "at", olderThan: "30 days" }],
      } },
      metrics: [{ id: "waste", title: "Waste", good: "sideways", database: "mian", sql: "select 1" }],
    `)
    expect(problems).toEqual([
      'app.name is "": it takes the name of your app',
      'app.timezone is "Mars/Olympus": it takes a time zone such as Europe/London',
      'services.web.url is "ftp://example.com": it takes a URL that begins with https:// or http://',
      "services.Bad_Name is not a good name: it takes a name of small letters, digits and hyphens, at most 40, that begins with a letter",
      'databases.main.url is variable("DATABASE_URL"): it takes secret("DATABASE_URL")',
      expect.stringMatching(
        /^databases\.main\.backup\.recipients .*: the name of a variable in capitals with underscores/,
      ),
      'databases.main.backup.proof is "all": it takes "full" or "counts"',
      'databases.main.backup.proofTimeLimit is "soon": it takes a length of time above 0 such as "90s", "20 minutes" or "3 days"',
      "databases.main.backup.keep.daily is 0: it takes a number of days, a whole number from 1 to 3650",
      'databases.main.backup.rpoHours is "26h": it takes a number of hours, a number from 0.1 to 8760',
      "databases.main.assertions[0].sql is 1: it takes one SQL query",
      'metrics[0].good is "sideways": it takes "up" or "down"',
      'services.web.dependsOn[0] names the service "wbe", which does not exist: did you mean web?',
      'databases.main.writeUrl is missing: cleanup of this database change rows, with secret("DATABASE_WRITE_URL") alone',
      'metrics[0].database names the database "mian", which does not exist: did you mean main?',
    ])
  })

  it("asks for the nearest known key, or lists them, for every unknown one", async () => {
    const problems = await problemsOf(`
      app: { name: "Shop", nmae: 1 }, database: {},
      databases: { main: { url: secret("DATABASE_URL"), backup: { recipients: variable("KEYS"), rpoHour: 26, zzzzzzzzzz: 1 } } },
    `)
    expect(problems).toEqual([
      "app.nmae is no setting: did you mean name?",
      "databases.main.backup.rpoHour is no setting: did you mean rpoHours?",
      expect.stringMatching(/^databases\.main\.backup\.zzzzzzzzzz is no setting: known here: recipients, proof, /),
      "database is no setting: did you mean databases?",
    ])
  })

  it.each([
    ["a URL where secret() belongs", `databases: { main: { url: "${secretUrl}" } }`],
    ["a URL inside secret()", `databases: { main: { url: secret("${secretUrl}") } }`],
    ["a webhook", 'alerts: { slack: "https://hooks.slack.com/services/T0/B0/hunter22-never-shown" }'],
    ["a key where a name belongs", 'app: { name: "Shop" }, metrics: "AGE-SECRET-KEY-1HUNTER22-NEVER-SHOWN"'],
    [
      "a URL with a password where a plain one belongs",
      'services: { web: { url: "ftp://a:hunter22-never-shown@example.com" } }',
    ],
    ["a secret as an unknown setting's value", 'app: { name: "Shop", token: "hunter22-never-shown" }'],
  ])("never shows %s", async (_what, config) => {
    const problems = await problemsOf(`${config.includes("app:") ? "" : 'app: { name: "Shop" },'} ${config}`)
    expect(problems).toHaveLength(1)
    expect(problems.join().toLowerCase()).not.toContain("hunter22")
    if (!config.includes("token")) expect(problems[0]).toContain("put it into the repository's settings and write")
  })

  it("still gives the alerts when the rest is wrong, and nothing when they are wrong too", () => {
    const slack = { kind: "secret", name: "SLACK_WEBHOOK_URL" }
    expect(salvageAlerts({ app: 1, alerts: { slack } })).toMatchObject({ slack })
    expect(salvageAlerts({ alerts: { slak: slack } })).toBeUndefined()
    expect(salvageAlerts("nonsense")).toBeUndefined()
  })

  it.each([[undefined], [null], [1], ["text"], [[]], [() => ({})]])("is refused when it exports %o", (value) => {
    expect(() => parseConfig(value, "ops.config.ts")).toThrow(ConfigError)
  })
})

describe("a good file", () => {
  it("may be the whole example of the design, and has defaults for what is left out", async () => {
    await using checkout = await makeCheckout(`
      app: { name: "PrepPilot", environment: "production", timezone: "Europe/London" },
      services: {
        web: { url: "https://preppilot.app", expect: { text: "PrepPilot" }, objective: { availability: 0.99, days: 30 } },
        api: { url: "https://api.preppilot.app/api/health", latency: { degradedMs: 500 }, sleepy: { coldStartSeconds: 60 }, dependsOn: ["db"] },
        db: { postgres: secret("DATABASE_URL") },
      },
      canaries: ["https://one.one.one.one", "https://www.gstatic.com/generate_204"],
      databases: {
        main: {
          url: secret("DATABASE_URL"),
          writeUrl: secret("DATABASE_WRITE_URL"),
          backup: { recipients: variable("BACKUP_RECIPIENTS"), proof: "full", keep: { daily: 30, weekly: 12, monthly: 12 }, rpoHours: 26, rtoMinutes: 60 },
          assertions: [{ name: "every prep has a user", sql: "select id from preps where user_id is null" }],
          decay: [{ name: "freshness", table: "fridge_items", column: "freshness", since: "updated_at", halfLife: "3 days", floor: 0 }],
          cleanup: [{ name: "sessions", table: "user_sessions", column: "expires_at", olderThan: "30 days" }],
        },
      },
      metrics: [{ id: "waste", title: "Ingredient waste", unit: "%", good: "down", target: 8, database: "main", sql: "select 1 where now() >= $1" }],
      alerts: { slack: secret("SLACK_WEBHOOK_URL"), heartbeat: variable("HEARTBEAT_URL") },
    `)
    const config = await loadConfig(`${checkout.dir}/ops.config.ts`)
    expect(config.databases.main?.backup).toEqual({
      recipients: { kind: "variable", name: "BACKUP_RECIPIENTS" },
      proof: "full",
      proofTimeLimit: { text: "30 minutes", ms: 1_800_000 },
      keep: { daily: 30, weekly: 12, monthly: 12, yearly: 0 },
      rpoHours: 26,
      rtoMinutes: 60,
      shrinkPercent: 30,
      exclude: { schemas: [], tables: [] },
      compressionLevel: 2,
      jobMinutes: 120,
    })
    expect(config.databases.main?.decay[0]?.halfLife).toEqual({ text: "3 days", ms: 3 * 86_400_000 })
  })

  it("needs nothing but the app's name", () => {
    expect(parseConfig({ app: { name: "Shop" } }, "ops.config.ts")).toEqual({
      app: { name: "Shop", environment: "production", timezone: "UTC" },
      services: {},
      canaries: ["https://one.one.one.one", "https://www.gstatic.com/generate_204"],
      databases: {},
      metrics: [],
      alerts: { severities: {}, policy: expect.objectContaining({ confirmRuns: 2, confirmOf: 3, closeRuns: 2 }) },
    })
  })
})
