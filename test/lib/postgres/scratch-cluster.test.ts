import { spawn } from "node:child_process"
import { once } from "node:events"
import { chmod, mkdir, readdir, readFile, stat, writeFile } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { pathToFileURL } from "node:url"
import { describe, expect, inject, it } from "vitest"
import type { Log } from "../../../lib/core/log.ts"
import { withClient } from "../../../lib/postgres/connect.ts"
import { LocaleMissing, type NewDatabase } from "../../../lib/postgres/create-database.ts"
import { type ScratchCluster, sweepScratchClusters, withScratchCluster } from "../../../lib/postgres/scratch-cluster.ts"
import { startTimer } from "../../../lib/system/clock.ts"
import { runProgram } from "../../../lib/system/program.ts"
import { withTempDir } from "../../../lib/system/temp.ts"

const silent: Log = { debug() {}, info() {}, warn() {}, error() {}, progress: () => ({ at() {}, done() {} }) }
const plain = { encoding: "UTF8", localeProvider: "libc", collate: "C", ctype: "C" } as const

function scratch<T>(
  fn: (cluster: ScratchCluster) => Promise<T>,
  options: { signal?: AbortSignal; settings?: Record<string, string> } = {},
) {
  const { major, binDirectories } = inject("postgres")
  return withScratchCluster(
    { major, binDirectories, signal: new AbortController().signal, log: silent, ...options },
    fn,
  )
}

function query(cluster: ScratchCluster, database: string, sql: string) {
  return withClient(
    cluster.address(database),
    { applicationName: "test" },
    async (client) => (await client.query(sql)).rows,
  )
}

const isThere = (path: string) =>
  stat(path).then(
    () => true,
    () => false,
  )

describe("a scratch cluster that cannot work", () => {
  it("says what the server said when it does not start, and leaves nothing", async () => {
    const starting = scratch(async () => undefined, { settings: { shared_buffers: "nonsense" } })
    await expect(starting).rejects.toThrow(/the scratch server did not start: .*shared_buffers/s)
  })

  it("is reached in a temp directory whose path is too long for a socket, and leaves nothing there or elsewhere", async () => {
    const own = process.env.TMPDIR
    await withTempDir("long", async (dir) => {
      const long = join(dir, "x".repeat(90))
      await mkdir(long)
      await chmod(dir, 0o711)
      await chmod(long, 0o711)
      process.env.TMPDIR = long
      let socket = ""
      try {
        const rows = await scratch((cluster) => {
          socket = cluster.address("postgres").host
          return query(cluster, "postgres", "select 1 as one")
        })
        expect(rows).toEqual([{ one: 1 }])
      } finally {
        if (own === undefined) delete process.env.TMPDIR
        else process.env.TMPDIR = own
      }
      expect(await readdir(long)).toEqual([])
      expect(await isThere(socket)).toBe(false)
    })
  })

  it("says so when the server ends by itself", async () => {
    let dir = ""
    const dying = scratch(async (cluster) => {
      dir = cluster.address("postgres").host
      const pid = Number.parseInt(await readFile(join(dir, "../data/postmaster.pid"), "utf8"), 10)
      process.kill(pid, "SIGKILL")
      await query(cluster, "postgres", "select pg_sleep(10)")
    })
    await expect(dying).rejects.toThrow("the scratch server ended by itself")
    expect(await isThere(dir)).toBe(false)
  })

  it("is stopped and removed when the work in it fails", async () => {
    let dir = ""
    const failing = scratch(async (cluster) => {
      dir = cluster.address("postgres").host
      expect(await isThere(dir)).toBe(true)
      throw new Error("half-way")
    })
    await expect(failing).rejects.toThrow("half-way")
    expect(await isThere(dir)).toBe(false)
  })

  it("is stopped and removed at once when the signal fires, though the work in it does not listen", async () => {
    const abort = new AbortController()
    const reason = new Error("the run was cancelled")
    let dir = ""
    const elapsed = startTimer()
    let abortedAfterMs = 0
    const running = scratch(
      async (cluster) => {
        dir = cluster.address("postgres").host
        setTimeout(() => {
          abortedAfterMs = elapsed()
          abort.abort(reason)
        }, 100)
        await query(cluster, "postgres", "select pg_sleep(60)")
      },
      { signal: abort.signal },
    )
    await expect(running).rejects.toBe(reason)
    expect(elapsed() - abortedAfterMs).toBeLessThan(3000)
    expect(await isThere(dir)).toBe(false)
  })

  it("is stopped and removed by the next run when its process was killed", async () => {
    await withTempDir("killed", async (dir) => {
      const script = join(dir, "owner.mts")
      const lib = pathToFileURL(join(import.meta.dirname, "../../../lib/postgres/scratch-cluster.ts")).href
      const { major, binDirectories } = inject("postgres")
      const log = "{ debug() {}, info() {}, warn() {}, error() {}, progress: () => ({ at() {}, done() {} }) }"
      const options = `{ major: ${major}, binDirectories: ${JSON.stringify(binDirectories)}, signal: new AbortController().signal, log: ${log} }`
      await writeFile(
        script,
        `import { withScratchCluster } from "${lib}"
         await withScratchCluster(${options}, async (cluster) => {
           console.log(cluster.address("postgres").host)
           await new Promise((resolve) => setTimeout(resolve, 60_000))
         })`,
      )
      const owner = spawn(process.execPath, ["--import", "tsx", script], {
        cwd: join(import.meta.dirname, "../../.."),
        stdio: ["ignore", "pipe", "inherit"],
      })
      const [socket] = await once(owner.stdout, "data")
      const cluster = join(String(socket).trim(), "..")
      const pid = Number.parseInt(await readFile(join(cluster, "data/postmaster.pid"), "utf8"), 10)
      owner.kill("SIGKILL")
      await once(owner, "exit")
      expect(await isRunning(pid)).toBe(true)

      await sweepScratchClusters(silent)

      expect(await isRunning(pid)).toBe(false)
      expect(await isThere(cluster)).toBe(false)
    })
  })
})

describe("a scratch cluster", () => {
  it("keeps to itself: no network, nobody else's folder, settings for a short life", async () => {
    await scratch(async (cluster) => {
      const [row] = await query(
        cluster,
        "postgres",
        "select current_setting('listen_addresses') as network, current_setting('fsync') as fsync, current_user as me, current_setting('max_locks_per_transaction')::int * current_setting('max_connections')::int as locks",
      )
      expect(row).toEqual({ network: "", fsync: "off", me: "nightshift_scratch", locks: 40_960 })
      const { host } = cluster.address("postgres")
      expect((await stat(host)).mode & 0o777).toBe(0o700)
      expect((await readdir(tmpdir())).some((name) => host.includes(name))).toBe(true)
    })
  })

  it("makes databases with the text rules of their source, and names a locale that this machine lacks", async () => {
    await scratch(async (cluster) => {
      const named = (name: string, rest: Partial<NewDatabase> = {}): NewDatabase => ({ name, ...plain, ...rest })
      await cluster.createDatabase(named(`We "ird' name`))
      await cluster.createDatabase(named("latin", { encoding: "LATIN1" }))
      await cluster.createDatabase(named("icu", { localeProvider: "icu", icuLocale: "en-US" }))
      const rows = await query(
        cluster,
        "postgres",
        "select datname, pg_encoding_to_char(encoding) as encoding, datcollate, datlocprovider from pg_database where datname in ('latin', 'icu') or datname like 'We%' order by 1",
      )
      expect(rows).toEqual([
        { datname: `We "ird' name`, encoding: "UTF8", datcollate: "C", datlocprovider: "c" },
        { datname: "icu", encoding: "UTF8", datcollate: "C", datlocprovider: "i" },
        { datname: "latin", encoding: "LATIN1", datcollate: "C", datlocprovider: "c" },
      ])

      const missing = cluster.createDatabase(named("lost", { collate: "tlh_QO.UTF-8", ctype: "tlh_QO.UTF-8" }))
      await expect(missing).rejects.toBeInstanceOf(LocaleMissing)
      await expect(missing).rejects.toMatchObject({ locale: "tlh_QO.UTF-8" })
      await expect(missing).rejects.toThrow(
        "database lost needs the libc locale tlh_QO.UTF-8 (UTF8), which this machine lacks",
      )
      await expect(cluster.createDatabase(named("latin"))).rejects.toThrow('database "latin" already exists')
    })
  })
})

/** False also for a process that has ended and whose parent has not asked how. */
async function isRunning(pid: number): Promise<boolean> {
  const { stdout } = await runProgram("sh", ["-c", 'ps -o stat= -p "$0" || true', String(pid)])
  return /^[^Z]/.test(stdout.trim())
}
