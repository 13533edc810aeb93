import { describe, expect, it } from "vitest"
import { liveEnvironment, recordingEnvironment } from "../../../lib/config/environment.ts"
import { secret, variable } from "../../../lib/config/setting-ref.ts"
import { ConfigError } from "../../../lib/core/config-error.ts"

function live(values: Record<string, string>, inActions = false) {
  const hidden: string[] = []
  return {
    env: liveEnvironment(values, { root: "/srv/shop", inActions, redactor: { add: (text) => hidden.push(text) } }),
    hidden,
  }
}

const refuse = (_text: string, name: string): { parts: string[] } => {
  throw new ConfigError(`${name} is not what it should be`)
}

describe("the live environment", () => {
  it("collects what is missing and what does not parse, each once, and goes on with placeholders", () => {
    const { env } = live({ BAD: "x", BLANK: "  " })
    expect(env.secret(secret("GONE"))).toBe("")
    env.secret(secret("GONE"))
    env.variable(variable("BLANK"))
    const { parts } = env.parsedSecret(secret("BAD"), refuse)
    expect([...parts.map((part) => part.length)]).toEqual([])
    expect(env.problems()).toEqual([
      expect.stringMatching(/^GONE is missing: export it/),
      expect.stringMatching(/^BLANK is missing: export it/),
      "BAD is not what it should be",
    ])
  })

  it("says inside Actions which kind of setting to add, and that the workflow must pass it on", () => {
    const { env } = live({}, true)
    env.secret(secret("DATABASE_URL"))
    env.variable(variable("BACKUP_RECIPIENTS"))
    env.storeUrl("write")
    expect(env.problems()).toEqual([
      expect.stringMatching(/^DATABASE_URL is missing: add the secret under Settings .*npm run workflows/),
      expect.stringMatching(/^BACKUP_RECIPIENTS is missing: add the variable under Settings/),
      expect.stringMatching(/^BACKUP_STORE is missing: set the repository variable to s3:/),
    ])
  })

  it("hides every secret it gives out, and the store's keys", () => {
    const { env, hidden } = live({ TOKEN: "t-123456", PLAIN: "shown", AWS_SECRET_ACCESS_KEY: "s3-key" })
    env.secret(secret("TOKEN"))
    env.variable(variable("PLAIN"))
    env.storeUrl("read")
    expect(hidden.filter(Boolean)).toEqual(["t-123456", "s3-key"])
  })

  it("takes an empty text, which is what a workflow gives for a variable that is not set, for an absent one", () => {
    const { env } = live({ OPS_PG_BIN: "", HEARTBEAT_URL: " ", BACKUP_STORE: "" })
    expect(env.optional("OPS_PG_BIN")).toBeUndefined()
    expect(env.variable(variable("HEARTBEAT_URL"))).toBe("")
    expect(env.problems()).toEqual([expect.stringMatching(/^HEARTBEAT_URL is missing/)])
    expect(env.storeUrl("write")).toBe("file:///srv/shop/.ops/bucket")
  })

  it("keeps backups in the checkout on a developer's machine, elsewhere when told", () => {
    expect(live({}).env.storeUrl("write")).toBe("file:///srv/shop/.ops/bucket")
    expect(live({ BACKUP_STORE: "s3://vault/shop" }).env.storeUrl("write")).toBe("s3://vault/shop")
  })

  it("passes on errors of a parser that are no problem of the user's, with the name of the setting", () => {
    const { env } = live({ TOKEN: "t" })
    const parse = () => {
      throw new TypeError("defect")
    }
    expect(() => env.parsedSecret(secret("TOKEN"), parse)).toThrow("TOKEN could not be parsed")
  })
})

describe("the recording environment", () => {
  it("lists what a job asks for, each once and by name, with the store keys of that access alone", () => {
    const env = recordingEnvironment()
    env.parsedSecret(secret("DATABASE_URL"), refuse).parts.map((part) => part.length)
    env.secret(secret("DATABASE_URL"))
    env.variable(variable("BACKUP_RECIPIENTS"), refuse)
    env.optional("OPS_PG_BIN")
    env.storeUrl("delete")
    expect(env.needs()).toEqual([
      { env: "AWS_ACCESS_KEY_ID", kind: "secret", name: "STORE_DELETE_KEY_ID" },
      { env: "AWS_SECRET_ACCESS_KEY", kind: "secret", name: "STORE_DELETE_SECRET_KEY" },
      { env: "BACKUP_RECIPIENTS", kind: "variable", name: "BACKUP_RECIPIENTS" },
      { env: "BACKUP_STORE", kind: "variable", name: "BACKUP_STORE" },
      { env: "DATABASE_URL", kind: "secret", name: "DATABASE_URL" },
      { env: "OPS_PG_BIN", kind: "variable", name: "OPS_PG_BIN" },
    ])
  })
})
