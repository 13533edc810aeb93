import { spawn } from "node:child_process"
import { readFile, rm, writeFile } from "node:fs/promises"
import { join, resolve } from "node:path"
import { pathToFileURL } from "node:url"
import { generateX25519Identity, identityToRecipient } from "age-encryption"
import { newestReceiptKey, readReceipt } from "../../lib/backup/receipt-store.ts"
import { listSetFolders } from "../../lib/backup/set.ts"
import { formatBytes } from "../../lib/core/size.ts"
import { programEnvironment } from "../../lib/postgres/address.ts"
import { withClient } from "../../lib/postgres/connect.ts"
import { findPrograms, newestMajor } from "../../lib/postgres/programs.ts"
import { type ScratchCluster, withScratchCluster } from "../../lib/postgres/scratch-cluster.ts"
import { openStore } from "../../lib/store/open.ts"
import { every, startTimer } from "../../lib/system/clock.ts"
import { runProgram } from "../../lib/system/program.ts"
import { withTempDir } from "../../lib/system/temp.ts"

/*
 * Measures the backup and the restore test as whole commands against what one would otherwise run, alternating in one run:
 * (a) pg_dump -Fc -Z0 | zstd -3 | age, (b) pg_dump -Fc, (c) age -d | zstd -d | pg_restore. Prints medians and the ratios round by round.
 *
 *     npm run bench                     5 rounds on about 1 GB, then the memory at 100 MB and 2 GB
 *     npm run bench -- --rounds 7 --megabytes 300 --no-memory
 */
const rounds = numberOption("--rounds", 5)
const megabytes = numberOption("--megabytes", 1000)
const withMemory = !process.argv.includes("--no-memory")
const log = {
  debug() {},
  info() {},
  warn: console.error,
  error: console.error,
  progress: () => ({ at() {}, done() {} }),
}

/** A server as the distribution's package starts it: what a restore by hand meets. */
const asInstalled = {
  fsync: "on",
  synchronous_commit: "on",
  full_page_writes: "on",
  wal_level: "replica",
  max_wal_senders: "10",
  max_wal_size: "1GB",
  checkpoint_timeout: "5min",
  autovacuum: "on",
  shared_buffers: "128MB",
  maintenance_work_mem: "64MB",
  jit: "on",
}

const plainText = { encoding: "UTF8", localeProvider: "libc", collate: "C", ctype: "C" } as const

type Measured = { seconds: number; peakBytes: number }
type Bench = { cluster: ScratchCluster; bin: string; dir: string; identity: string; recipient: string }

const major = await newestMajor(["initdb", "postgres", "pg_dump", "pg_dumpall", "pg_restore", "psql", "pgbench"])
const { pg_dump: pgDump } = await findPrograms(major, ["pg_dump"])
const identity = await generateX25519Identity()
const signal = AbortSignal.timeout(3_600_000)
await withTempDir("bench", (dir) =>
  withScratchCluster({ major, log, signal, settings: { max_connections: "50" } }, async (cluster) => {
    const bench = { cluster, bin: resolve(pgDump, ".."), dir, identity, recipient: await identityToRecipient(identity) }
    await compareSpeed(bench)
    if (withMemory) await compareMemory(bench)
  }),
)

async function compareSpeed(bench: Bench): Promise<void> {
  await fill(bench, "speed", megabytes)
  await configure(bench, "speed")
  const { bin, recipient, dir } = bench
  const target = join(dir, "baseline.age")
  const pipeline = `"${bin}/pg_dump" -Fc -Z0 speed | zstd -3 -q | age -r ${recipient} > "${target}"`
  const contenders: Record<string, () => Promise<Measured>> = {
    "backup without proof": () => backup(bench, "bare"),
    "backup with full proof": () => backup(bench, "full"),
    "(a) pg_dump | zstd | age": () => shell(bench, pipeline),
    "(b) pg_dump -Fc": () => shell(bench, `"${bin}/pg_dump" -Fc speed > "${join(dir, "baseline.pgc")}"`),
  }
  const results = await alternate(contenders)
  const ratio = (name: string, base: string) => ratios(results, name, base)
  printTable(results)
  console.log(
    `\nwithout proof / (a)   ${ratio("backup without proof", "(a) pg_dump | zstd | age")}   target at most 1.05`,
  )
  console.log(
    `full proof / (a)      ${ratio("backup with full proof", "(a) pg_dump | zstd | age")}   target at most 1.30`,
  )
  console.log(`without proof / (b)   ${ratio("backup without proof", "(b) pg_dump -Fc")}   target at most 0.45`)
  await compareRestore(bench, target)
}

/**
 * The restore test without its verification against the shell's pipeline: (c) into a new server as it is installed, whose making is not
 * counted, (d) with a server made for it and set up as ours is, all counted, and (e) into one of that kind that is there and warm already.
 */
async function compareRestore(bench: Bench, sealed: string): Promise<void> {
  const key = join(bench.dir, "key.txt")
  await writeFile(key, `${bench.identity}\n`, { mode: 0o600 })
  const script = `set -o pipefail; age -d -i "${key}" "${sealed}" | zstd -d -q | "${bench.bin}/pg_restore" -d restored`
  const intoServer = async (cluster: ScratchCluster) => {
    await cluster.createDatabase({ name: "restored", ...plainText })
    return shell({ cluster }, script)
  }
  const [byHand, withServer, warm] = [
    "(c) age | zstd | pg_restore",
    "(d) initdb, server, then (c)",
    "(e) (c), tuned and warm",
  ] as const
  const results = await alternate({
    "restore-test": async () => {
      const { seconds, peakBytes } = await job(bench, "restore-test", "full")
      const verify = (await newestVerifyMs(bench)) / 1000
      console.log(`  restore-test ${seconds.toFixed(2)} s, of it verification ${verify.toFixed(2)} s`)
      return { seconds: seconds - verify, peakBytes }
    },
    [byHand]: () => withScratchCluster({ major, log, signal, settings: asInstalled }, intoServer),
    [withServer]: async () => {
      const elapsed = startTimer()
      const { peakBytes } = await withScratchCluster({ major, log, signal }, intoServer)
      return { seconds: elapsed() / 1000, peakBytes }
    },
    [warm]: async () => {
      const measured = await intoServer(bench.cluster)
      await query(bench, "postgres", "drop database restored")
      return measured
    },
  })
  printTable(results)
  console.log(`less verification / (c)   ${ratios(results, "restore-test", byHand)}   target at most 1.10`)
  console.log(`less verification / (d)   ${ratios(results, "restore-test", withServer)}`)
  console.log(`less verification / (e)   ${ratios(results, "restore-test", warm)}`)
}

async function compareMemory(bench: Bench): Promise<void> {
  await query(bench, "postgres", "drop database speed")
  for (const size of [100, 2000]) {
    await fill(bench, "speed", size)
    const { peakBytes } = await backup(bench, "full")
    const { peakBytes: restorePeak } = await job(bench, "restore-test", "full")
    console.log(
      `peak memory of Node at ${String(size).padStart(4)} MB: backup ${formatBytes(peakBytes)}, restore-test ${formatBytes(restorePeak)}   target below 200 MB`,
    )
    await query(bench, "postgres", "drop database speed")
  }
}

/** One half pgbench's tables, one half text as people write it: words by their frequency, which compress to about a third. */
async function fill(bench: Bench, database: string, size: number): Promise<void> {
  await bench.cluster.createDatabase({ name: database, ...plainText })
  const env = programEnvironment(bench.cluster.address(database))
  await runProgram(join(bench.bin, "pgbench"), ["-i", "-q", "-s", String(Math.max(1, Math.round(size / 30)))], { env })
  await query(bench, database, articles(Math.round(size * 300)))
  const rows = await query(bench, database, `select pg_database_size('${database}')::text as bytes`)
  console.log(`database of ${formatBytes(Number(rows[0]?.bytes))}, ${rounds} rounds`)
}

/** Paragraphs come from a pool that is larger than what a compressor looks back on. */
function articles(count: number): string {
  return `
    create temp table words as select n, substr(translate(md5(n::text), '0123456789abcdef', 'etaoinshrdlucmpg'), 1, 2 + n % 8) as word from generate_series(0, 2999) n;
    create temp table pool as select p.n, string_agg(w.word, ' ') as text from generate_series(0, 59999) p (n) cross join generate_series(1, 60) k (n)
      join words w on w.n = floor(3000 * power((abs(hashint8(p.n * 64 + k.n)) % 100000) / 100000.0, 3))::int group by p.n;
    create table articles (id bigint primary key, author text, body text);
    insert into articles select i, 'author ' || i % 997, string_agg(pool.text, ' ') from generate_series(1, ${count}) i cross join generate_series(1, 4) k
      join pool on pool.n = abs(hashint8(i * 8 + k)) % 60000 group by i;`
}

async function configure({ dir }: Bench, database: string): Promise<void> {
  const define = JSON.stringify(pathToFileURL(resolve("lib/config/define.ts")).href)
  const proofs = { full: "", bare: `proofTimeLimit: "0.001s",` }
  for (const [name, setting] of Object.entries(proofs)) {
    await writeFile(
      join(dir, `${name}.config.ts`),
      `import { defineConfig, secret, variable } from ${define}
       export default defineConfig({ app: { name: "Bench" }, databases: { ${database}: { url: secret("DATABASE_URL"),
         backup: { ${setting} recipients: variable("BACKUP_RECIPIENTS"), rpoHours: 8760, rtoMinutes: 600 } } } })`,
    )
  }
}

async function backup(bench: Bench, proof: "full" | "bare"): Promise<Measured> {
  await rm(join(bench.dir, "bucket"), { recursive: true, force: true })
  return job(bench, "backup", proof)
}

function job({ dir, identity, recipient, cluster }: Bench, name: string, config: string): Promise<Measured> {
  const { host, port, user } = cluster.address("speed")
  const env = {
    DATABASE_URL: `postgres://${user}@${encodeURIComponent(host)}:${port}/speed`,
    BACKUP_RECIPIENTS: recipient,
    BACKUP_IDENTITY: identity,
    BACKUP_STORE: pathToFileURL(join(dir, "bucket")).href,
    LEDGER: pathToFileURL(join(dir, "ledger")).href,
  }
  const args = [
    "--max-semi-space-size=1",
    "--initial-old-space-size=64",
    "--import",
    "tsx",
    "lib/job/main.ts",
    name,
    "--config",
    join(dir, `${config}.config.ts`),
  ]
  return measure(process.execPath, args, env)
}

function shell({ cluster }: Pick<Bench, "cluster">, script: string): Promise<Measured> {
  return measure("bash", ["-c", script], programEnvironment(cluster.address("postgres")))
}

/** Wall time of a whole process and the peak memory of the process itself. Throws when it fails. */
async function measure(file: string, args: string[], env: Record<string, string>): Promise<Measured> {
  const elapsed = startTimer()
  const child = spawn(file, args, { env: { ...process.env, ...env }, stdio: ["ignore", "ignore", "pipe"] })
  const errors: string[] = []
  child.stderr.on("data", (chunk) => errors.push(String(chunk)))
  let peakBytes = 0
  const look = async () => {
    const status = await readFile(`/proc/${child.pid}/status`, "utf8").catch(() => "") // it may have ended just now
    peakBytes = Math.max(peakBytes, Number(/VmHWM:\s+(\d+)/.exec(status)?.[1] ?? 0) * 1024)
  }
  const stopLooking = every(50, () => void look())
  const code = await new Promise((resolve, reject) => child.once("error", reject).once("close", resolve))
  stopLooking()
  if (code !== 0) throw new Error(`${file} ${args.join(" ")} ended with ${code}: ${errors.join("")}`)
  return { seconds: elapsed() / 1000, peakBytes }
}

/** One warm-up, then every contender in each round, from another one on each time. */
async function alternate(contenders: Record<string, () => Promise<Measured>>): Promise<Record<string, Measured[]>> {
  const entries = Object.entries(contenders)
  const results: Record<string, Measured[]> = Object.fromEntries(entries.map(([name]) => [name, []]))
  for (const [, run] of entries) await run()
  for (let round = 0; round < rounds; round++) {
    for (let turn = 0; turn < entries.length; turn++) {
      const [name, run] = entries[(round + turn) % entries.length] ?? []
      if (name && run) results[name]?.push(await run())
    }
    console.log(
      `round ${round + 1}: ${Object.entries(results)
        .map(([name, runs]) => `${name} ${runs.at(-1)?.seconds.toFixed(2)} s`)
        .join(", ")}`,
    )
  }
  return results
}

function printTable(results: Record<string, Measured[]>): void {
  console.log(
    `\n${"command".padEnd(28)}${"median s".padStart(10)}${"min".padStart(8)}${"max".padStart(8)}${"peak RSS".padStart(12)}`,
  )
  for (const [name, runs] of Object.entries(results)) console.log(row(name, runs))
}

function row(name: string, runs: Measured[]): string {
  const seconds = runs.map((run) => run.seconds)
  const figures = [median(seconds), Math.min(...seconds), Math.max(...seconds)].map((value, at) =>
    value.toFixed(2).padStart(at === 0 ? 10 : 8),
  )
  return `${name.padEnd(28)}${figures.join("")}${formatBytes(Math.max(...runs.map((run) => run.peakBytes))).padStart(12)}`
}

/** Median of the ratios round by round, which holds when the machine's speed drifts; and their range. */
function ratios(results: Record<string, Measured[]>, name: string, base: string): string {
  const bases = results[base] ?? []
  const values = (results[name] ?? []).map((run, round) => run.seconds / (bases[round]?.seconds ?? Number.NaN))
  return `${median(values).toFixed(2)} (${Math.min(...values).toFixed(2)} to ${Math.max(...values).toFixed(2)})`
}

function median(values: number[]): number {
  const sorted = values.toSorted((a, b) => a - b)
  const middle = Math.floor(sorted.length / 2)
  return sorted.length % 2 === 1
    ? (sorted[middle] ?? Number.NaN)
    : ((sorted[middle - 1] ?? 0) + (sorted[middle] ?? 0)) / 2
}

async function newestVerifyMs({ dir }: Bench): Promise<number> {
  const store = openStore(pathToFileURL(join(dir, "bucket")).href, { variable: "BACKUP_STORE" })
  const folder = (await listSetFolders(store, "speed")).at(-1)
  const key = folder && newestReceiptKey(folder)
  if (!key) throw new Error("the restore test left no receipt")
  return (await readReceipt(store, key)).timingsMs.verify
}

async function query({ cluster }: Bench, database: string, sql: string): Promise<Record<string, unknown>[]> {
  return withClient(cluster.address(database), { applicationName: "bench" }, async (client) => {
    const results = [await client.query(sql)].flat()
    return results.at(-1)?.rows ?? []
  })
}

function numberOption(name: string, fallback: number): number {
  const at = process.argv.indexOf(name)
  const value = at < 0 ? fallback : Number(process.argv[at + 1])
  if (!Number.isInteger(value) || value < 1) throw new Error(`${name} takes a whole number of 1 or more`)
  return value
}
