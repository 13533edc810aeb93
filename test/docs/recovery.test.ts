import { cp, readdir, readFile, writeFile } from "node:fs/promises"
import { dirname, join } from "node:path"
import { fileURLToPath } from "node:url"
import { describe, expect, inject, it } from "vitest"
import { programEnvironment } from "../../lib/postgres/address.ts"
import { withClient } from "../../lib/postgres/connect.ts"
import { findPrograms } from "../../lib/postgres/programs.ts"
import { type ScratchCluster, withScratchCluster } from "../../lib/postgres/scratch-cluster.ts"
import { runProgram } from "../../lib/system/program.ts"
import { withTempDir } from "../../lib/system/temp.ts"
import { type Night, setup } from "../support/night.ts"

const sql = `
  create table notes (id int generated always as identity primary key, body text);
  insert into notes (body) select 'note ' || i from generate_series(1, 1000) i;
  create table tags (note int references notes, tag text);
  insert into tags select i, 'tag' from generate_series(1, 10) i;`
const silent = { debug() {}, info() {}, warn() {}, error() {}, progress: () => ({ at() {}, done() {} }) }

describe("the recovery pages, followed to the letter with age, zstd and PostgreSQL alone", () => {
  it.each([
    ["docs/recovery.md", () => readFile("docs/recovery.md", "utf8")],
    ["RECOVERY.md of the set", (dir: string) => readFile(join(dir, "RECOVERY.md"), "utf8")],
  ])("%s restores the database", async (_name, readPage) => {
    const night = await backedUp()
    await onCleanMachine(night, async (dir, cluster, run) => {
      for (const block of shellBlocks(await readPage(dir))) await run(block)
      const { rows } = await withClient(cluster.address("restored"), { applicationName: "tests" }, (client) =>
        client.query("select (select count(*) from notes) as notes, (select count(*) from tags) as tags"),
      )
      expect(rows).toEqual([{ notes: "1000", tags: "10" }])
    })
  })

  it("stop at a damaged file", async () => {
    const night = await backedUp()
    await onCleanMachine(night, async (dir, _cluster, run) => {
      const dump = await readFile(join(dir, "dump.pgc.zst.age"))
      dump.writeUInt8(dump.readUInt8(dump.length - 1) ^ 1, dump.length - 1)
      await writeFile(join(dir, "dump.pgc.zst.age"), dump)
      const [check = ""] = shellBlocks(await readFile("docs/recovery.md", "utf8"))
      await expect(run(check)).rejects.toThrow()
      const [ownCheck = ""] = shellBlocks(await readFile(join(dir, "RECOVERY.md"), "utf8"))
      await expect(run(ownCheck)).rejects.toThrow()
    })
  })
})

async function backedUp(): Promise<Night> {
  const night = await setup({
    sql,
    database: "template template0 encoding 'UTF8' lc_collate 'C.UTF-8' lc_ctype 'C.UTF-8'",
  })
  const { exitCode, stderr } = await night.run("backup", "2026-03-01T03:17:00Z")
  expect(exitCode, stderr).toBe(0)
  return night
}

type Machine = (dir: string, cluster: ScratchCluster, run: (script: string) => Promise<unknown>) => Promise<void>

/** A folder with the set and the key, an empty server, and a shell that knows nothing else. */
async function onCleanMachine(night: Night, fn: Machine): Promise<void> {
  const { major, binDirectories } = inject("postgres")
  const { psql } = await findPrograms(major, ["psql"], { binDirectories })
  const [set = ""] = await readdir(join(fileURLToPath(night.storeUrl), "main"))
  await withTempDir("recovery", (dir) =>
    withScratchCluster({ major, binDirectories, log: silent, signal: AbortSignal.timeout(60_000) }, async (cluster) => {
      await cp(join(fileURLToPath(night.storeUrl), "main", set), dir, { recursive: true })
      await writeFile(join(dir, "key.txt"), `${night.keys.identity}\n`)
      const { PGDATABASE: _, ...env } = programEnvironment(cluster.address("postgres"))
      const path = `${dirname(psql)}:/usr/local/bin:/usr/bin:/bin`
      await fn(dir, cluster, (script) =>
        runProgram("bash", ["-c", script], { cwd: dir, env: { ...env, PATH: path }, timeoutMs: 60_000 }),
      )
    }),
  )
}

/** The blocks that a page asks its reader to run. */
function shellBlocks(page: string): string[] {
  const blocks = [...page.matchAll(/^```sh\n([\s\S]*?)^```$/gm)].map((match) => match[1] ?? "")
  expect(blocks.length).toBeGreaterThanOrEqual(4)
  return blocks
}
