import { spawn } from "node:child_process"
import { once } from "node:events"
import { join, resolve } from "node:path"
import type { Client } from "pg"
import { expect, it } from "vitest"
import { withClient } from "../../lib/postgres/connect.ts"
import { makeWorld, type World } from "../lib/decay/world.ts"

const rows = 1000
const sql = `
  create table items (id bigint generated always as identity primary key, value double precision not null, at timestamptz not null, status text not null default 'fresh');
  insert into items (value, at) select 1024, '2026-01-01' from generate_series(1, ${rows});
  create function gate() returns trigger language plpgsql as $$ begin perform pg_advisory_xact_lock(4711); return new; end $$`
const rule = `{ name: "fading", table: "items", column: "value", since: "at", halfLife: "1 day", batchRows: 100,
  thresholds: [{ below: 600, action: "mark", set: { status: "spoiled" } }] }`

/** Where the run is held when it is killed: what holds it, done in the session of the holder. */
const boundaries: Record<string, string> = {
  "before it has the watermark": "begin; lock table ops.decay_watermark in access exclusive mode",
  "at the first rows": "begin; select from items where id = 1 for update",
  "in the middle of the rows": "begin; select from items where id = 555 for update",
  "at the last row": `begin; select from items where id = ${rows} for update`,
  "while rows are marked":
    "create trigger gate before update of status on items for each row execute function gate(); select pg_advisory_lock(4711)",
  "before the watermark moves":
    "create trigger gate before update on ops.decay_watermark for each row execute function gate(); select pg_advisory_lock(4711)",
  "while it commits":
    "create constraint trigger gate after update on items deferrable initially deferred for each row when (old.id = 1) execute function gate(); select pg_advisory_lock(4711)",
}

it.each(Object.entries(boundaries))(
  "killed %s it has done all or nothing, and the next run makes it whole",
  async (where, hold) => {
    const world = await makeWorld(sql, rule)
    // The first run makes the schema and takes the watermark to a day on which nothing is due.
    expect((await world.run("2026-01-01T04:00Z")).exitCode).toBe(0)
    await withClient(world.database.address, { applicationName: "tests" }, async (holder) => {
      await holder.query(hold)
      const job = startDecay(world, "2026-01-02T04:00Z")
      await untilWaiting(world)
      job.kill("SIGKILL")
      await once(job, "close")
      await release(holder)
    })
    await untilGone(world)
    const [state] = await readState(world)
    const whole = { values: ["512"], marked: rows, through: "2026-01-02" }
    const nothing = { values: ["1024"], marked: 0, through: "2026-01-01" }
    expect(where === "while it commits" ? [whole, nothing] : [nothing]).toContainEqual(state)

    const again = await world.run("2026-01-02T05:00Z")
    expect(again.exitCode, again.run.summary).toBe(0)
    expect(await readState(world)).toEqual([whole])
  },
)

async function readState(world: World): Promise<Record<string, unknown>[]> {
  return world.query(`select (select array_agg(distinct value::text) from items) as values,
    (select count(*)::int from items where status = 'spoiled') as marked,
    (select to_char(applied_through at time zone 'UTC', 'YYYY-MM-DD') from ops.decay_watermark) as through`)
}

function startDecay(world: World, at: string) {
  const config = join(world.checkout.dir, "ops.config.ts")
  const args = ["--import", "tsx", "lib/job/main.ts", "decay", "--now", at, "--config", config]
  const { PATH = "", HOME = "" } = process.env
  const ledger = `file://${world.checkout.dir}/.ops/ledger`
  const env = {
    PATH,
    HOME,
    DATABASE_WRITE_URL: world.database.url,
    LEDGER: ledger,
    INCIDENTS: `file://${world.checkout.dir}/.ops/incidents`,
  }
  return spawn(process.execPath, args, { cwd: resolve("."), env, stdio: "ignore" })
}

const sessions = "from pg_stat_activity where application_name = 'nightshift/decay' and datname = current_database()"

async function untilWaiting(world: World): Promise<void> {
  const waiting = () => world.values(`select count(*)::int ${sessions} and wait_event_type = 'Lock'`)
  await expect.poll(waiting, { timeout: 30_000, interval: 50 }).toEqual([1])
}

async function untilGone(world: World): Promise<void> {
  await expect
    .poll(() => world.values(`select count(*)::int ${sessions}`), { timeout: 30_000, interval: 50 })
    .toEqual([0])
}

async function release(holder: Client): Promise<void> {
  await holder.query("rollback")
  await holder.query("select pg_advisory_unlock_all()")
}

it("four processes at once apply it once", async () => {
  const world = await makeWorld(sql, rule)
  const jobs = [1, 2, 3, 4].map(() => startDecay(world, "2026-01-02T04:00Z"))
  const ends = await Promise.all(jobs.map(async (job) => (await once(job, "close"))[0]))
  expect(ends).toEqual([0, 0, 0, 0])
  expect(await readState(world)).toEqual([{ values: ["512"], marked: rows, through: "2026-01-02" }])
})
