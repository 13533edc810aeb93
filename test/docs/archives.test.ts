import { cp, readdir, readFile, writeFile } from "node:fs/promises"
import { dirname, join } from "node:path"
import { expect, inject, it } from "vitest"
import { programEnvironment } from "../../lib/postgres/address.ts"
import { findPrograms } from "../../lib/postgres/programs.ts"
import { runProgram } from "../../lib/system/program.ts"
import { withTempDir } from "../../lib/system/temp.ts"
import { type ArchiveWorld, archiveWorld } from "../support/archive-world.ts"

const sql = `create table messages (id int primary key, sent_at timestamptz not null, body text, tags text[], f float8);
  create index on messages (sent_at);
  insert into messages select i, '2025-01-01Z'::timestamptz + i * interval '1 minute',
      case i % 5 when 0 then null when 1 then '' when 2 then E'line\\nline, "two"' else 'body ' || i end, array['a', null, ''], 'NaN'
    from generate_series(1, 900) i;
  create table kept as table messages;`

/** An archive of several parts, of which one row was changed in between and is in two of them. */
async function archived(): Promise<ArchiveWorld> {
  const world = await archiveWorld(sql)
  let isDone = false
  const put: ArchiveWorld["store"]["put"] = async (key, ...more) => {
    if (!isDone && key.endsWith(".json")) {
      isDone = true
      const change = "update messages set body = 'newer' where id = 17; update kept set body = 'newer' where id = 17"
      await world.database.query(change)
    }
    return world.store.put(key, ...more)
  }
  expect(await world.archive({}, { store: { ...world.store, put } })).toMatchObject({ removed: 900, left: 0, kept: 1 })
  return world
}

it("the page on archives, followed to the letter with age, zstd and psql alone, brings the rows back", async () => {
  const world = await archived()
  await onPlainMachine(world, async (_dir, run) => {
    for (const block of await shellBlocks()) await run(block)
  })
  const [found] = await world.database.query(
    `select count(*)::int as n, count(*) filter (where row(k.*)::text is distinct from row(a.*)::text)::int as differ
       from kept k full join archive_messages a using (id)`,
  )
  expect(found).toEqual({ n: 900, differ: 0 })
})

it("the page on archives stops at a damaged part", async () => {
  const world = await archived()
  await onPlainMachine(world, async (dir, run) => {
    const file = join(dir, "part-00001.csv.zst.age")
    const bytes = await readFile(file)
    bytes.writeUInt8(bytes.readUInt8(bytes.length - 1) ^ 1, bytes.length - 1)
    await writeFile(file, bytes)
    const [create = "", load = ""] = await shellBlocks()
    await run(create)
    await expect(run(load)).rejects.toThrow()
  })
  expect(await world.database.query("select count(*)::int as n from archive_messages")).toEqual([{ n: 0 }])
})

type Run = (script: string) => Promise<unknown>

/** A folder with what is on the store and the key, and a shell that knows nothing else. */
async function onPlainMachine(world: ArchiveWorld, fn: (dir: string, run: Run) => Promise<void>): Promise<void> {
  const { major, binDirectories } = inject("postgres")
  const { psql } = await findPrograms(major, ["psql"], { binDirectories })
  const rule = join(world.dir, "bucket/archives/main/messages")
  const [folder = ""] = await readdir(rule)
  await withTempDir("archives", async (dir) => {
    await cp(join(rule, folder), dir, { recursive: true })
    await writeFile(join(dir, "key.txt"), `${world.identity}\n`)
    const env = { ...programEnvironment(world.database.address), PATH: `${dirname(psql)}:/usr/local/bin:/usr/bin:/bin` }
    await fn(dir, (script) => runProgram("bash", ["-c", script], { cwd: dir, env, timeoutMs: 60_000 }))
  })
}

async function shellBlocks(): Promise<string[]> {
  const page = await readFile("docs/archives.md", "utf8")
  const blocks = [...page.matchAll(/^```sh\n([\s\S]*?)^```$/gm)].map((match) => match[1] ?? "")
  expect(blocks).toHaveLength(2)
  return blocks
}
