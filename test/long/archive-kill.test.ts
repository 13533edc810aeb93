import { spawn } from "node:child_process"
import { once } from "node:events"
import { join } from "node:path"
import { text } from "node:stream/consumers"
import { pathToFileURL } from "node:url"
import { expect, it } from "vitest"
import { openStore } from "../../lib/store/open.ts"
import { type ArchiveWorld, archivedIds, archiveWorld, storedParts } from "../support/archive-world.ts"

const rows = 700 // two parts
const all = Array.from({ length: rows }, (_, index) => index + 1)
const table =
  "create table messages (id int primary key, sent_at timestamptz not null, body text); create index on messages (sent_at);"
const fill = `insert into messages select i, '2025-01-01Z'::timestamptz + i * interval '1 minute', 'body ' || i from generate_series(1, ${rows}) i`

type End = { killedBy: NodeJS.Signals | null; exitCode: number | null; out: string; err: string }

function start(world: ArchiveWorld, storeUrl: string, env: Record<string, string>) {
  const { PATH = "", HOME = "", TMPDIR = "/tmp" } = process.env
  const settings = {
    DATABASE_URL: world.database.url,
    BACKUP_STORE: storeUrl,
    BACKUP_RECIPIENTS: world.recipients.keys.join("\n"),
  }
  const args = ["--import", "tsx", "test/support/archive-process.ts"]
  const child = spawn(process.execPath, args, { env: { PATH, HOME, TMPDIR, ...settings, ...env } })
  const ended = (async (): Promise<End> => {
    const [out, err, [exitCode, killedBy]] = await Promise.all([
      text(child.stdout),
      text(child.stderr),
      once(child, "close"),
    ])
    return { killedBy, exitCode, out, err }
  })()
  return { child, ended }
}

/** Kills a run, lets another one finish, and looks whether every row is in exactly one place. */
async function killAndRecover(
  world: ArchiveWorld,
  name: string,
  kill: (storeUrl: string) => Promise<End>,
): Promise<End> {
  await world.database.query(`truncate messages; drop table if exists ops.archive_part; ${fill}`)
  const storeUrl = pathToFileURL(join(world.dir, name)).href
  const killed = await kill(storeUrl)
  const store = openStore(storeUrl, { variable: "BACKUP_STORE" })
  const ids = async () => (await world.database.query("select id from messages")).map(({ id }) => Number(id))
  const recovered = await start(world, storeUrl, { RUN: "second" }).ended
  expect(recovered, `${name}: ${recovered.err}`).toMatchObject({ exitCode: 0 })
  expect(recovered.out, name).toContain("left 0")
  const archived = archivedIds((await storedParts(store, world.identity)).filter(({ isAbandoned }) => !isAbandoned))
  expect(
    [...(await ids()), ...archived].sort((a, b) => a - b),
    name,
  ).toEqual(all)
  const open = await world.database.query(
    "select state from ops.archive_part where state not in ('closed', 'abandoned')",
  )
  expect(open, name).toEqual([])
  return killed
}

it("loses and doubles no row when it is killed at any boundary between two steps", async () => {
  const first = await archiveWorld(table)
  const whole = await killAndRecover(first, "whole", (url) => start(first, url, {}).ended)
  const boundaries = Number(/boundaries: (\d+)/.exec(whole.out)?.[1])
  expect(boundaries).toBeGreaterThan(80)
  let next = 1
  let killed = 0
  const worker = async () => {
    const world = await archiveWorld(table)
    for (let at = next++; at <= boundaries; at = next++) {
      const end = await killAndRecover(world, `at-${at}`, (url) => start(world, url, { KILL_AT: String(at) }).ended)
      expect(end.killedBy, `at ${at}: ${end.out} ${end.err}`).toBe("SIGKILL")
      killed++
    }
  }
  await Promise.all([worker(), worker(), worker()])
  expect(killed).toBe(boundaries)
})

it("loses and doubles no row when it is killed at any moment", async () => {
  const world = await archiveWorld(table)
  let landed = 0
  for (let round = 0; round < 25; round++) {
    const end = await killAndRecover(world, `moment-${round}`, async (url) => {
      const { child, ended } = start(world, url, {})
      const begun = world.database.query(
        `do $$ begin for i in 1..300000 loop perform from pg_stat_activity where application_name = 'nightshift/cleanup';
           exit when found; perform pg_stat_clear_snapshot(); end loop; end $$`,
      )
      await begun
      setTimeout(() => child.kill("SIGKILL"), round * 12)
      return ended
    })
    if (end.killedBy === "SIGKILL") landed++
  }
  expect(landed).toBeGreaterThan(10)
})

it("takes no more memory for an archive ten times as large", async () => {
  const memory: number[] = []
  for (const megabytes of [20, 200]) {
    const world = await archiveWorld(table)
    await world.database.query(
      `insert into messages select i, '2025-01-01Z'::timestamptz + i * interval '1 second',
         (select string_agg(md5(i::text || j), '') from generate_series(1, 30) j) from generate_series(1, ${megabytes * 1000}) i`,
    )
    const end = await start(world, pathToFileURL(join(world.dir, "bucket")).href, {}).ended
    expect(end.out, end.err).toContain(`removed ${megabytes * 1000}, left 0`)
    memory.push(Number(/memory: (\d+)/.exec(end.out)?.[1]))
  }
  const [small = 0, large = 0] = memory
  expect(small).toBeGreaterThan(0)
  expect(large, `${memory}`).toBeLessThan(small * 1.5)
})
