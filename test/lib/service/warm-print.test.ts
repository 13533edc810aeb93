import { Cron } from "croner"
import fc from "fast-check"
import type { Client } from "pg"
import { describe, expect, it } from "vitest"
import { withClient } from "../../../lib/postgres/connect.ts"
import { evenCron, utcCrons } from "../../../lib/service/warm-cron.ts"
import { readHours, type WarmHours, warmWindows } from "../../../lib/service/warm-hours.ts"
import { type PrintKind, printWarmth, type WarmOutline } from "../../../lib/service/warm-print.ts"
import { runProgram } from "../../../lib/system/program.ts"
import { withDatabase } from "../../support/postgres.ts"
import { always, dayMs, hourMs, minuteMs, settings } from "../../support/warm.ts"
import { startWebServer } from "../../support/web-server.ts"

const now = new Date("2026-03-10T12:00:00Z")
const week = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"] as const
const api = (changes: Partial<WarmOutline> = {}): WarmOutline => ({
  ...settings(),
  url: "https://api.example.com/health",
  ...changes,
})
const print = (kind: PrintKind, outlines: WarmOutline[], repository?: string) =>
  printWarmth(kind, outlines, repository, now)

/** pg_cron 1.6, pg_net and Supabase's Vault as far as they are called: their own signatures, and what they do with what they get. */
const standIns = `
  create schema cron;
  create table cron.job (
    jobid bigserial primary key, schedule text not null, command text not null, database text not null default current_database(),
    username text not null default current_user, active boolean not null default true, jobname text, unique (jobname, username));
  create function cron.schedule(job_name text, schedule text, command text) returns bigint language plpgsql as $$
    #variable_conflict use_column
    begin
      if schedule !~ '^[0-9*/,-]+( [0-9*/,-]+){4}$' then raise exception 'invalid schedule: %', schedule; end if;
      insert into cron.job (jobname, schedule, command) values (job_name, $2, $3)
        on conflict (jobname, username) do update set schedule = excluded.schedule, command = excluded.command;
      return (select jobid from cron.job where jobname = job_name);
    end $$;
  create function cron.schedule(schedule text, command text) returns bigint language sql as $$ select null::bigint $$;
  create function cron.unschedule(job_id bigint) returns bool language plpgsql as $$
    begin
      delete from cron.job where jobid = job_id;
      if not found then raise exception 'could not find valid entry for job %', job_id; end if;
      return true;
    end $$;
  create function cron.unschedule(job_name text) returns bool language sql as $$ select cron.unschedule(jobid) from cron.job where jobname = job_name $$;
  create schema net;
  create table net.http_request_queue (
    id bigserial, method text not null, url text not null, headers jsonb not null, body bytea, timeout_milliseconds int not null);
  create function net.http_get(
    url text, params jsonb default '{}', headers jsonb default '{}', timeout_milliseconds int default 5000
  ) returns bigint strict language sql as $$
    insert into net.http_request_queue (method, url, headers, timeout_milliseconds) values ('GET', $1, $3, $4) returning id $$;
  create function net.http_post(
    url text, body jsonb default '{}', params jsonb default '{}', headers jsonb default '{"Content-Type": "application/json"}',
    timeout_milliseconds int default 5000
  ) returns bigint language plpgsql as $$
    declare kind text; made bigint;
    begin
      select value into kind from jsonb_each_text(coalesce(headers, '{}')) where lower(key) = 'content-type';
      if kind <> 'application/json' then raise exception 'Content-Type header must be "application/json"'; end if;
      if body is null then raise exception 'body must not be null'; end if;
      insert into net.http_request_queue as queue (method, url, headers, body, timeout_milliseconds)
        values ('POST', $1, $4, convert_to($2::text, 'UTF8'), $5) returning queue.id into made;
      return made;
    end $$;
  create schema vault;
  create table vault.secrets (id uuid primary key default gen_random_uuid(), name text unique, description text, secret text);
  create view vault.decrypted_secrets as select id, name, description, secret, secret as decrypted_secret from vault.secrets;
  create function vault.create_secret(new_secret text, new_name text default null, new_description text default '')
    returns uuid language sql as $$ insert into vault.secrets (name, description, secret) values ($2, $3, $1) returning id $$;
  create schema clock;
  create table clock.set_to (at timestamptz);
  create function clock.now() returns timestamptz language sql as $$ select at from clock.set_to $$;`

type Scheduler = {
  run(sql: string): Promise<void>
  jobs(): Promise<{ jobname: string; schedule: string; command: string }[]>
  /** Runs a scheduled command as pg_cron does, at a time, and gives the requests that it leaves. */
  fire(command: string, at?: Date): Promise<Record<string, unknown>[]>
}

async function withScheduler(fn: (scheduler: Scheduler) => Promise<void>): Promise<void> {
  await withDatabase(standIns, ({ address }) =>
    withClient(address, { applicationName: "tests" }, (client) =>
      fn({
        run: async (sql) => void (await client.query(sql)),
        jobs: async () => (await client.query("select jobname, schedule, command from cron.job order by jobname")).rows,
        fire: (command, at) => fire(client, command, at ?? now),
      }),
    ),
  )
}

async function fire(client: Client, command: string, at: Date): Promise<Record<string, unknown>[]> {
  const columns = "method, url, headers, convert_from(body, 'UTF8')::jsonb as body, timeout_milliseconds as timeout"
  await client.query(
    `begin; insert into clock.set_to values ('${at.toISOString()}'); set local search_path = clock, pg_catalog`,
  )
  await client.query(command)
  const { rows } = await client.query(`select ${columns} from net.http_request_queue`)
  await client.query("rollback")
  return rows
}

describe("the SQL for pg_cron, run in Postgres", () => {
  it("fails as a whole where the token is missing, and says how to add it", async () => {
    const { text } = print("pg_cron-dispatch", [api()], "acme/shop")
    await withScheduler(async ({ run, jobs }) => {
      await expect(run(text)).rejects.toThrow(
        "the secret nightshift_github_token is missing: select vault.create_secret('github_pat_…'",
      )
      await run("rollback")
      expect(await jobs()).toEqual([])
    })
  })

  it("schedules each service once, however often it is run, and takes changes over", async () => {
    const before = print("pg_cron", [
      api(),
      api({ name: "web", url: "https://web.example.com/", everyMs: 14 * minuteMs }),
    ]).text
    const after = print("pg_cron", [api({ everyMs: 2 * hourMs })]).text
    await withScheduler(async ({ run, jobs }) => {
      await run(before)
      await run(before)
      const schedules = async () => (await jobs()).map(({ jobname, schedule }) => `${jobname} ${schedule}`)
      expect(await schedules()).toEqual(["nightshift-warm-api */10 * * * *", "nightshift-warm-web */12 * * * *"])
      await run(after)
      expect(await schedules()).toEqual(["nightshift-warm-api 0 */2 * * *", "nightshift-warm-web */12 * * * *"])
      const endings = [...before.matchAll(/^-- To end it: (.*)$/gm)].map(([, sql = ""]) => sql)
      for (const ending of [...endings, ...endings]) await run(ending)
      expect(await jobs()).toEqual([])
    })
  })

  it("asks the app over HTTP with the time that waking up takes, whatever characters its address has", async () => {
    const url = "https://api.example.com/health?q='a'&b=\\n$nightshift$"
    const { text, notes } = print("pg_cron", [api({ url, wakeMs: 90_000 })])
    expect(notes.join()).toContain("a database cannot be kept awake by itself")
    await withScheduler(async ({ run, jobs, fire }) => {
      await run(text)
      const [job] = await jobs()
      expect(await fire(job?.command ?? "")).toEqual([
        { method: "GET", url, headers: { "user-agent": "nightshift-keep-warm" }, body: null, timeout: 90_000 },
      ])
    })
  })

  it("starts the workflow through GitHub's API with the token of the Vault", async () => {
    const { text, notes } = print(
      "pg_cron-dispatch",
      [api(), api({ name: "web", everyMs: 30 * minuteMs })],
      "acme/shop",
    )
    expect(notes).toEqual([
      expect.stringContaining("bills up to 4,320 minutes of Actions a month"),
      expect.stringContaining("starts the branch main"),
    ])
    await withScheduler(async ({ run, jobs, fire }) => {
      await run("select vault.create_secret('github_pat_11AA', 'nightshift_github_token')")
      await run(text)
      await run(text)
      const all = await jobs()
      expect(all).toMatchObject([{ jobname: "nightshift-dispatch-pulse", schedule: "*/10 * * * *" }])
      expect(all[0]?.command).not.toContain("github_pat")
      expect(await fire(all[0]?.command ?? "")).toEqual([
        {
          method: "POST",
          url: "https://api.github.com/repos/acme/shop/actions/workflows/pulse.yml/dispatches",
          headers: {
            accept: "application/vnd.github+json",
            authorization: "Bearer github_pat_11AA",
            "content-type": "application/json",
            "user-agent": "nightshift-keep-warm",
            "x-github-api-version": "2022-11-28",
          },
          body: { ref: "main" },
          timeout: 10_000,
        },
      ])
    })
  })

  it("sends requests in the active hours alone, on the clock of their time zone, also on the days on which it is changed", async () => {
    const hours = readHours({ hours: "21:30-03:00", days: ["fri", "sat"], timezone: "Europe/London" }, "UTC")
    const early = readHours({ hours: "06:00-07:00", days: ["mon"], timezone: "Asia/Tokyo" }, "UTC")
    const dispatch = print("pg_cron-dispatch", [api({ hours }), api({ name: "web", hours: early })], "acme/shop").text
    await withScheduler(async ({ run, jobs, fire }) => {
      await run("select vault.create_secret('github_pat_11AA', 'nightshift_github_token')")
      await run(print("pg_cron", [api({ hours })]).text)
      await run(dispatch)
      const [both, one] = (await jobs()).map(({ command }) => command)
      for (const at of moments()) {
        const isActive = (some: WarmHours) => warmWindows(some, { from: at, to: at + 1 }).length > 0
        const when = new Date(at)
        expect((await fire(one ?? "", when)).length, when.toISOString()).toBe(isActive(hours) ? 1 : 0)
        expect((await fire(both ?? "", when)).length, when.toISOString()).toBe(
          isActive(hours) || isActive(early) ? 1 : 0,
        )
      }
    })
  })

  it("asks for the extensions where they are missing", async () => {
    await withDatabase("", async (database) => {
      await expect(database.query(print("pg_cron", [api()]).text)).rejects.toThrow(/pg_cron/)
    })
  })
})

/** Every 97 minutes of a week in winter and one in summer, and every 20 of the nights on which London changes its clocks. */
function moments(): number[] {
  const spans: [string, number, number][] = [
    ["2026-01-08T00:00Z", 7 * dayMs, 97],
    ["2026-07-09T00:00Z", 7 * dayMs, 97],
    ["2026-03-28T21:00Z", 8 * hourMs, 20],
    ["2026-10-24T20:00Z", 8 * hourMs, 20],
  ]
  return spans.flatMap(([from, length, minutes]) =>
    Array.from(
      { length: Math.floor(length / (minutes * minuteMs)) },
      (_, index) => Date.parse(from) + index * minutes * minuteMs,
    ),
  )
}

describe("the line for curl, run by a shell", () => {
  it("asks the app and succeeds only when the app itself answers", async () => {
    await using server = await startWebServer()
    const url = `${server.url}/health?name='x'`
    const shell = async (marker?: string) => {
      const { text } = print("curl", [api({ url, ...(marker && { marker }) })])
      return runProgram("bash", ["-c", text], { timeoutMs: 10_000 }).then(
        () => "succeeds",
        () => "fails",
      )
    }
    expect([await shell(), await shell("it's PrepPilot")]).toEqual(["fails", "fails"])
    server.setRoute("/health", { body: "it's PrepPilot" })
    expect([await shell(), await shell("it's PrepPilot"), await shell("Sign in")]).toEqual([
      "succeeds",
      "succeeds",
      "fails",
    ])
    expect(server.requests().at(-1)).toBe("GET /health?name='x'")
  })
})

describe("vercel.json", () => {
  it("has a cron for each service, and comes with what Vercel does not do", () => {
    const { text, notes } = print("vercel", [
      api(),
      api({ name: "web", url: "https://web.example.com/api/warm?deep=1" }),
    ])
    expect(JSON.parse(text)).toEqual({
      crons: [
        { path: "/health", schedule: "*/10 * * * *" },
        { path: "/api/warm?deep=1", schedule: "*/10 * * * *" },
      ],
    })
    expect(notes.join()).toMatch(/Hobby plan runs each cron once a day at most/)
  })
})

describe("what cannot be printed", () => {
  it("is named with its remedy", () => {
    expect(() => print("curl", [])).toThrow("no service with an address has keepWarm: add keepWarm: {}")
    expect(() => print("curl", [{ ...settings({ kind: "database" }) }])).toThrow(
      "no service with an address has keepWarm",
    )
    expect(() => print("pg_cron-dispatch", [api()])).toThrow("--repository is missing")
  })
})

describe("a cron", () => {
  it("comes evenly, and never less often than wanted where it can", () => {
    const text = (minutes: number) => {
      const { minute, hour } = evenCron(minutes * minuteMs)
      return `${minute} ${hour}`
    }
    expect([0.5, 1, 7, 10, 14, 30, 59].map(text)).toEqual([
      "* *",
      "* *",
      "*/6 *",
      "*/10 *",
      "*/12 *",
      "*/30 *",
      "*/30 *",
    ])
    expect([60, 100, 180, 600, 5000].map(text)).toEqual(["0 *", "0 *", "0 */3", "0 */8", "0 0"])
  })

  it("in UTC comes in every active hour, in summer and in winter", () => {
    const hours = readHours(
      { hours: "07:00-22:00", days: ["mon", "tue", "wed", "thu", "fri"], timezone: "Europe/London" },
      "UTC",
    )
    expect(utcCrons(hours, 10 * minuteMs, now)).toEqual(["*/10 6-21 * * 1-5"])
    expect(utcCrons(always, 10 * minuteMs, now)).toEqual(["*/10 * * * *"])
    const night = readHours({ hours: "22:00-02:00", days: [...week] }, "UTC")
    expect(utcCrons(night, 20 * minuteMs, now)).toEqual(["*/20 0-1,22-23 * * *"])
    expect(utcCrons(night, 2 * hourMs, now)).toEqual(["0 0,22 * * *"])
    const friday = readHours({ hours: "22:00-06:00", days: ["fri"] }, "UTC")
    expect(utcCrons(friday, 10 * minuteMs, now)).toEqual(["*/10 22-23 * * 5", "*/10 0-5 * * 6"])
    const anyHours = fc.record({
      beginMinute: fc.integer({ min: 0, max: 47 }).map((half) => half * 30),
      lengthMinutes: fc.integer({ min: 2, max: 48 }).map((half) => half * 30),
      days: fc.subarray([1, 2, 3, 4, 5, 6, 7], { minLength: 1 }),
      timezone: fc.constantFrom("UTC", "Europe/London", "America/New_York", "Asia/Kathmandu"),
    })
    fc.assert(
      fc.property(anyHours, fc.constantFrom(10, 30), (some, minutes) => {
        const crons = utcCrons(some, minutes * minuteMs, now).map(
          (one) => new Cron(one, { timezone: "UTC", paused: true }),
        )
        const [window] = warmWindows(some, { from: now.getTime(), to: now.getTime() + 9 * dayMs })
        const begin = new Date((window?.from ?? 0) - 1000)
        const next = Math.min(...crons.map((cron) => cron.nextRun(begin)?.getTime() ?? Infinity))
        expect(next - begin.getTime()).toBeLessThanOrEqual(minutes * minuteMs + 1000)
      }),
      { numRuns: 40 },
    )
  })
})

describe("the dispatch, with a number of minutes that a month may bill", () => {
  const dispatch = (budget: number, everyMs = 10 * minuteMs) =>
    printWarmth("pg_cron-dispatch", [api({ everyMs })], "acme/shop", now, { budget, scheduleMs: 30 * minuteMs })

  it("comes no more often than what the cron of the pulse leaves, and says so", () => {
    // A month of 31 days: 1,488 by the cron; 512 are left of 2,000, which is every 87 minutes: two hours come evenly.
    const { text, notes } = dispatch(2000)
    expect(text).toContain("'0 */2 * * *'")
    expect(notes.join()).toContain("every 10 min was wanted")
    expect(notes.join()).toContain("every 2 h is what app.actionsMinutes (2000) leaves")
    expect(dispatch(100_000).text).toContain("'*/10 * * * *'")
  })

  it("is refused when the cron alone takes them all", () => {
    expect(() => dispatch(1000)).toThrow(
      /app\.actionsMinutes is 1000, and the cron of pulse\.yml alone takes 1488 a month/,
    )
  })
})
