import { randomBytes } from "node:crypto"
import { describe, expect, it } from "vitest"
import database from "../../jobs/database.ts"
import type { Finding } from "../../lib/core/finding.ts"
import { careChecks } from "../../lib/dbcare/all-checks.ts"
import type { Job } from "../../lib/job/job.ts"
import { withClient } from "../../lib/postgres/connect.ts"
import { type Checkout, configText, makeCheckout, type Outcome } from "../support/checkout.ts"
import { administer, databaseUrl, type TestDatabase, withDatabase, withRole } from "../support/postgres.ts"
import { startSlackServer } from "../support/slack-server.ts"

const config = (more = "") => `app: { name: "Shop" }, databases: { main: { url: secret("DATABASE_URL"), ${more} } }`
const job = database as Job
const day = (number: number) => `2026-03-${String(number).padStart(2, "0")}T06:23:00Z`

async function ask(checkout: Checkout, url: string, argv: string[] = [], now = day(10), env = {}): Promise<Outcome> {
  return checkout.run(job, { argv, now, env: { DATABASE_URL: url, ...env } })
}

const care = ({ run }: Outcome, check: string): Finding | undefined =>
  run.findings.find(({ subject }) => subject === `database/main/care/${check}`)

const planted = `create table orders (id int primary key, customer int);
  create table customers (id int primary key);
  insert into customers select generate_series(1, 20000); insert into orders select i, i from generate_series(1, 20000) i;
  alter table orders add constraint orders_customer foreign key (customer) references customers;
  create index one on orders (customer, id); create index two on orders (customer, id);
  create table notes (body text); insert into notes select 'canary-4711@example.com' from generate_series(1, 20000);
  analyze`

describe("a database that cannot be asked", () => {
  it("is one failure that names the remedy, and leaves the run green: it is about the database", async () => {
    await using checkout = await makeCheckout(config())
    const gone = await ask(checkout, databaseUrl("no_such_database"))
    expect(gone.exitCode).toBe(0)
    expect(gone.run.findings).toMatchObject([{ subject: "database/main/care", outcome: "fail", isConfirmed: true }])
    expect(gone.run.summary).toContain("there is no database no_such_database")
  })

  it("is over as soon as it can be asked again", async () => {
    await withDatabase("", async ({ url }) => {
      await using checkout = await makeCheckout(config())
      await ask(checkout, databaseUrl("no_such_database"))
      for (const number of [11, 12]) {
        const back = await ask(checkout, url, [], day(number))
        expect(back.run.findings[0]).toMatchObject({ subject: "database/main/care", outcome: "ok" })
      }
      const incidents = await checkout
        .run("slo", { now: day(12) })
        .then(() => checkout.read(".ops/ledger/runs/2026/03/12.jsonl"))
      expect(incidents).toContain("database")
    })
  })
})

describe("a run of the checks", () => {
  it("has one finding a check, each with a runbook, and says what is new since last week", async () => {
    await withDatabase(planted, async ({ url, query }) => {
      await using checkout = await makeCheckout(config())
      const first = await ask(checkout, url, [], day(1))
      expect(first.run.findings).toHaveLength(1 + careChecks.length)
      expect(care(first, "duplicate-indexes")).toMatchObject({
        outcome: "warn",
        detail: expect.stringContaining("public."),
      })
      expect(care(first, "duplicate-indexes")?.detail).not.toContain("last week")

      await query(
        "drop index two; create index three on orders (id, customer); create index four on orders (id, customer)",
      )
      const later = await ask(checkout, url, [], day(8))
      expect(care(later, "duplicate-indexes")?.detail).toMatch(/since last week \d new, \d still, 1 fixed/)
    })
  })

  it("changes nothing, records nothing when dry, and asks what it was told to", async () => {
    await withDatabase(planted, async ({ url, query }) => {
      await using checkout = await makeCheckout(config())
      const dry = await ask(checkout, url, ["--dry-run", "--check", "limits", "--check", "sequences"])
      expect(dry.run.findings.map(({ subject }) => subject)).toEqual([
        "database/main/care",
        "database/main/care/limits",
        "database/main/care/sequences",
      ])
      await expect(checkout.read(".ops/ledger/care/main/2026.jsonl")).rejects.toThrow("ENOENT")
      await ask(checkout, url)
      expect(await checkout.read(".ops/ledger/care/main/2026.jsonl")).toContain('"database.bytes"')
      expect(await query("select nspname from pg_namespace where nspname = 'ops'")).toEqual([])
    })
  })

  it("never shows what is in the rows, nor the password", async () => {
    const password = `pw-${randomBytes(6).toString("hex")}`
    await withDatabase(planted, (database) =>
      withRole(database, password, async (role) => {
        await database.query(`grant pg_monitor, pg_read_all_data to ${role}`)
        await using checkout = await makeCheckout(config())
        const { stdout, stderr } = await ask(checkout, database.urlAs(role, password), ["--json"])
        const ledger = await checkout.read(".ops/ledger/care/main/2026.jsonl")
        for (const text of [stdout, stderr, ledger])
          for (const canary of ["canary-4711", password]) expect(text).not.toContain(canary)
      }),
    )
  })

  it("refuses a check and a database that there is not, with the nearest name and exit code 2", async () => {
    await withDatabase("", async ({ url }) => {
      await using checkout = await makeCheckout(config())
      const wrong = await ask(checkout, url, ["--check", "sequence"])
      expect(wrong).toMatchObject({ exitCode: 2 })
      expect(wrong.stdout).toContain("--check sequence: did you mean sequences?")
      expect(await ask(checkout, url, ["--database", "mian"])).toMatchObject({ exitCode: 2 })
    })
  })

  it("leaves out a check that is switched off", async () => {
    await withDatabase(planted, async ({ url }) => {
      await using checkout = await makeCheckout(config(`care: { checks: { "duplicate-indexes": { off: true } } }`))
      expect(care(await ask(checkout, url), "duplicate-indexes")).toBeUndefined()
    })
  })

  it("names a check in the configuration that there is not", async () => {
    await withDatabase("", async ({ url }) => {
      await using checkout = await makeCheckout(config(`care: { checks: { "unused-index": { off: true } } }`))
      const wrong = await ask(checkout, url)
      expect(wrong.exitCode).toBe(2)
      expect(wrong.stdout).toContain("databases.main.care.checks.unused-index: did you mean unused-indexes?")
    })
  })
})

describe("by the rights of the role", () => {
  type Role = { name: string; hidden: readonly string[]; grants(database: TestDatabase, role: string): string }
  const ofOthers = ["long-statements", "idle-in-transaction", "blocking", "xmin-horizon", "replication-lag"]
  const roles: Role[] = [
    { name: "a superuser", hidden: [], grants: (_, role) => `alter role ${role} superuser` },
    {
      name: "an owner with pg_monitor, as on Supabase",
      hidden: [],
      grants: ({ name }, role) => `grant pg_monitor to ${role}; alter database ${name} owner to ${role};
        alter table orders owner to ${role}; alter table customers owner to ${role}; alter table notes owner to ${role}`,
    },
    {
      name: "a plain reader",
      hidden: ofOthers,
      grants: (_, role) => `grant select on all tables in schema public to ${role}`,
    },
    { name: "a role without any right", hidden: ofOthers, grants: (_, role) => `comment on role ${role} is 'nothing'` },
  ]

  it.each(roles)(
    "$name gets an answer to each question, or hears why not, and none breaks",
    async ({ grants, hidden }) => {
      await withDatabase(planted, (database) =>
        withRole(database, "word", (role) =>
          withClient(database.address, { applicationName: "shop" }, async (idle) => {
            await database.query(grants(database, role))
            await idle.query("begin; select count(*) from orders")
            const thresholds = `care: { checks: { "idle-in-transaction": { warn: 0, fail: 999 } } }`
            await using checkout = await makeCheckout(config(thresholds))
            const asked = await ask(checkout, database.urlAs(role, "word"))
            await idle.query("rollback")
            await administer(`alter role ${role} nosuperuser`)
            await database.query(
              `alter database ${database.name} owner to current_user; reassign owned by ${role} to current_user`,
            )
            expect(asked.exitCode).toBe(0)
            expect(asked.run.findings).toHaveLength(1 + careChecks.length)
            expect(asked.run.findings.filter(({ detail }) => detail.includes("the check broke"))).toEqual([])
            const unknown = asked.run.findings.filter(({ outcome }) => outcome === "unknown")
            for (const { detail } of unknown) expect(detail).toMatch(/^not looked at: ./)
            const names = unknown.map(({ subject }) => subject.split("/").at(-1) ?? "")
            const byServer = ["checksum-failures", "slow-queries"] // this server has neither checksums nor the extension
            expect(names.filter((name) => !byServer.includes(name))).toEqual(hidden)
            expect(care(asked, "idle-in-transaction")?.outcome).toBe(hidden.length > 0 ? "unknown" : "warn")
            expect(care(asked, "duplicate-indexes")?.outcome).toBe("warn")
          }),
        ),
      )
    },
  )
})

describe("people", () => {
  it("hear at 70, at 85 and at 95 percent of a limit, and once that it is over", async () => {
    await withDatabase(planted, async ({ url, query }) => {
      await using slack = await startSlackServer()
      await using checkout = await makeCheckout()
      let at = 0
      for (const percent of [60, 71, 72, 86, 87, 96, 60, 60]) {
        const [size] = await query("select pg_database_size(current_database())::int as bytes")
        const limit = Math.round((Number(size?.bytes) * 100) / percent)
        const more = `care: { limits: { databaseBytes: ${limit} } }`
        const file = await checkout.write(
          `limit-${at}.config.ts`,
          configText(`${config(more)}, alerts: { slack: secret("SLACK_WEBHOOK_URL") }`),
        )
        await ask(checkout, url, ["--config", file], day(++at), { SLACK_WEBHOOK_URL: slack.url })
      }
      const heard = slack.received.map(({ text }) => String(text)).filter((text) => text.includes("care/limits"))
      const news = heard.map((text) => text.split(":")[0] ?? "").filter((title) => !title.includes("still"))
      expect(news).toEqual(["P3", "P2, worse", "P1, worse", expect.stringContaining("recovered")])
    })
  })
})
