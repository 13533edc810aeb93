import { setTimeout as wait } from "node:timers/promises"
import type { Client } from "pg"
import { cleanupSchema } from "../../lib/config/cleanup-schema.ts"
import { formatDuration } from "../../lib/core/duration.ts"
import { formatCount } from "../../lib/core/size.ts"
import { withClient } from "../../lib/postgres/connect.ts"
import { ensureOpsTables } from "../../lib/postgres/ops-schema.ts"
import { newestMajor } from "../../lib/postgres/programs.ts"
import { type ScratchCluster, withScratchCluster } from "../../lib/postgres/scratch-cluster.ts"
import { withTransaction } from "../../lib/postgres/transaction.ts"
import { applyRows } from "../../lib/retention/apply.ts"
import type { CleanupPlan } from "../../lib/retention/contract.ts"
import { readHolds } from "../../lib/retention/holds.ts"
import { planRule } from "../../lib/retention/plan.ts"
import { prepareRule } from "../../lib/retention/prepare.ts"
import { startTimer } from "../../lib/system/clock.ts"
import { applyContext } from "../support/cleanup-plan.ts"

/*
 * Deletes a tenth of a large table while a writer measures how long it waits, each time from a copy of the same files: batch by batch as `cleanup`
 * does, with one big DELETE, and by dropping a partition that holds the same rows. The first two alternate until there are samples enough.
 * The batches follow the plan of a rule, made as the job makes it, with the table of legal holds in place and empty. Rows a second are
 * counted from the end of the plan, without the VACUUM that follows the batches: a big DELETE has neither, and leaves its dead rows to
 * autovacuum. Both are told apart. What a legal hold in force costs is shown and has no target. Exits 1 when a target is missed.
 *
 *     node --import tsx test/bench/cleanup.ts                    10 M rows
 *     node --import tsx test/bench/cleanup.ts --rows 1000000     a quick look; the figures then say less
 */
const rows = numberOption("--rows", 10_000_000)
const doomed = Math.floor(rows / 10)
const leastSamples = 5000
const mostRounds = 24
const everyMs = 5
const major = await newestMajor(["initdb", "postgres"])
const verbose = process.argv.includes("--verbose")
const log = {
  debug() {},
  info: verbose ? console.error : () => undefined,
  warn: console.error,
  error: console.error,
  progress: () => ({ at() {}, done() {} }),
}

/** As a distribution's package starts a server. */
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

const keepDays = 30
/** The first row that is too young is as old as the rule keeps rows. */
const slot = new Date(Date.UTC(2025, 0, 1 + keepDays) + (doomed + 1) * 1000)
const rule = cleanupSchema.parse({
  name: "old events",
  table: "events",
  column: "created_at",
  olderThan: `${keepDays} days`,
})

/** What a way of deleting took; plan and VACUUM are not in `seconds`. */
type Took = { rows: number; seconds: number; planSeconds: number; vacuumSeconds: number }
/** A time on the bench's clock, from and to. */
type Span = [fromMs: number, toMs: number]
type Done = Took & { planned: Span; vacuumed?: Span }
/** How long the writer waited while rows were deleted, and meanwhile a VACUUM. */
type Measured = Took & { latencies: number[]; vacuumLatencies: number[] }
type Sample = { atMs: number; ms: number }
type Round = { whole: Measured; batches: Measured }

const signal = AbortSignal.timeout(3_600_000)
const clock = startTimer()
await withScratchCluster({ major, log, signal, settings: asInstalled }, async (cluster) => {
  const elapsed = startTimer()
  const tell = (text: string) => console.log(`${formatDuration(elapsed()).padStart(12)}  ${text}`)
  await fill(cluster)
  tell(`${formatCount(rows)} rows in place`)

  const idle = await measureIdle(cluster)
  tell("the writer alone")
  const rounds: Round[] = []
  const samplesOf = () => rounds.reduce((sum, { batches }) => sum + batches.latencies.length, 0)
  while (samplesOf() < leastSamples && rounds.length < mostRounds) {
    const whole = await measure(cluster, deleteAtOnce)
    const batches = await measure(cluster, deleteInBatches)
    rounds.push({ whole, batches })
    tell(`round ${rounds.length}: at once ${describe(whole)}; in batches ${describe(batches)}`)
  }
  const partition = await measure(cluster, dropPartition)
  tell(`partition: ${describe(partition)}`)
  const held = await measure(cluster, deleteBesideHold)
  tell(`with a hold: ${describe(held)}`)

  const [whole, batches] = [sum(rounds.map((round) => round.whole)), sum(rounds.map((round) => round.batches))]
  print({
    "the writer alone": { latencies: idle },
    "in batches": batches,
    "their VACUUM": { latencies: batches.vacuumLatencies },
    "one big DELETE": whole,
    "drop of a partition": partition,
    "in batches, one hold": held,
  })
  printLeftOut(batches)
  if (!judge(idle, rounds)) process.exitCode = 1
})

function describe({ rows, seconds, planSeconds, vacuumSeconds, latencies }: Measured): string {
  const beside =
    planSeconds + vacuumSeconds === 0
      ? ""
      : ` (and ${planSeconds.toFixed(2)} s for the plan, ${vacuumSeconds.toFixed(2)} s for VACUUM)`
  return `${formatCount(rows)} rows in ${seconds.toFixed(2)} s${beside}, p99 ${latency(latencies).p99.toFixed(1)} ms`
}

function sum(all: Measured[]): Measured {
  const total = (part: (one: Measured) => number) => all.reduce((sum, one) => sum + part(one), 0)
  return {
    rows: total(({ rows }) => rows),
    seconds: total(({ seconds }) => seconds),
    planSeconds: total(({ planSeconds }) => planSeconds),
    vacuumSeconds: total(({ vacuumSeconds }) => vacuumSeconds),
    latencies: all.flatMap(({ latencies }) => latencies),
    vacuumLatencies: all.flatMap(({ vacuumLatencies }) => vacuumLatencies),
  }
}

/** One foreign key, three indexes besides the primary key; the oldest tenth is also a partition of another table. */
async function fill(cluster: ScratchCluster): Promise<void> {
  await cluster.createDatabase({ name: "origin", encoding: "UTF8", localeProvider: "libc", collate: "C", ctype: "C" })
  await session(cluster, "origin", async (client) => {
    await client.query(`
      set synchronous_commit = off; set maintenance_work_mem = '512MB';
      create table users (id int primary key, name text not null);
      insert into users select n, 'user ' || n from generate_series(1, 100000) n;
      create table events (id bigint not null, user_id int not null, kind text not null, payload text not null, created_at timestamptz not null);
      insert into events ${generated(1, rows)};
      create table history (like events) partition by range (created_at);
      create table history_old partition of history for values from (minvalue) to (${at(doomed + 1)});
      create table history_new partition of history default;
      insert into history select * from events where id <= ${doomed};`)
    await client.query(
      "alter table events add primary key (id); alter table events add foreign key (user_id) references users",
    )
    for (const column of ["created_at", "user_id", "kind"]) await client.query(`create index on events (${column})`)
    await client.query("vacuum analyze events")
    await client.query("vacuum analyze history")
    await client.query("checkpoint")
  })
}

function at(n: number | string): string {
  return `'2025-01-01Z'::timestamptz + ${n} * interval '1 second'`
}

function generated(first: number, last: number): string {
  return `select n, 1 + hashint8(n) % 50000 + 50000, 'kind ' || n % 40, repeat('x', 20 + (n % 60)::int), ${at("n")} from generate_series(${first}, ${last}::bigint) n`
}

/** The plan of the rule, made as the job makes it before it changes anything. */
async function planAsJob(client: Client): Promise<CleanupPlan> {
  await ensureOpsTables(client, ["legal_hold"])
  const prepared = await withTransaction(client, { isolation: "repeatable read", readOnly: true }, async () => {
    const { exists } = await readHolds(client, slot)
    return prepareRule(client, rule, { slot, hasHolds: exists })
  })
  const plan = await planRule(client, prepared, { slot, allowLarge: false, showsKeys: false })
  if (plan.refusals.length > 0) throw new Error(plan.refusals.join("; "))
  if (plan.count !== doomed || !plan.selection.hasHolds) throw new Error(`unexpected plan: ${JSON.stringify(plan)}`)
  return plan
}

async function deleteInBatches(client: Client): Promise<Done> {
  const plannedFrom = clock()
  const plan = await planAsJob(client)
  const planned: Span = [plannedFrom, clock()]
  let vacuumedAt: number | undefined
  const info = (message: string) => {
    if (message.startsWith("vacuumed")) vacuumedAt = clock()
    log.info(message)
  }
  const applied = await applyRows(plan, applyContext(client, { slot, log: { ...log, info }, signal }))
  if (applied.removed !== doomed || applied.left !== 0) throw new Error(`unexpected end: ${JSON.stringify(applied)}`)
  if (verbose) console.error(applied)
  return {
    rows: doomed,
    seconds: (applied.tookMs - applied.vacuumMs) / 1000,
    planSeconds: (planned[1] - planned[0]) / 1000,
    vacuumSeconds: applied.vacuumMs / 1000,
    planned,
    ...(vacuumedAt !== undefined && { vacuumed: [vacuumedAt - applied.vacuumMs, vacuumedAt] }),
  }
}

/** As soon as any hold is in force, each row is held against all of them. */
async function deleteBesideHold(client: Client): Promise<Done> {
  await ensureOpsTables(client, ["legal_hold"])
  await client.query(
    "insert into ops.legal_hold (table_name, row_key, reason) values ('events', jsonb_build_object('id', $1::int), 'a case')",
    [rows],
  )
  return deleteInBatches(client)
}

async function deleteAtOnce(client: Client): Promise<Done> {
  const from = clock()
  const { rowCount } = await client.query(`delete from events t where t.created_at <= ${at(doomed)}`)
  return { rows: rowCount ?? 0, ...unplanned(from) }
}

async function dropPartition(client: Client): Promise<Done> {
  const from = clock()
  await client.query("drop table history_old")
  return { rows: doomed, ...unplanned(from) }
}

function unplanned(fromMs: number): Omit<Done, "rows"> {
  return { seconds: (clock() - fromMs) / 1000, planSeconds: 0, vacuumSeconds: 0, planned: [fromMs, fromMs] }
}

/** Each begins with the same files, freshly copied, so that none finds the table warmer or emptier than another. */
async function withCopy<T>(cluster: ScratchCluster, fn: () => Promise<T>): Promise<T> {
  const administer = (sql: string) => session(cluster, "postgres", (client) => client.query(sql))
  await administer("create database bench template origin strategy file_copy")
  await administer("checkpoint")
  try {
    return await fn()
  } finally {
    await administer("drop database bench with (force)")
  }
}

async function measure(cluster: ScratchCluster, work: (client: Client) => Promise<Done>): Promise<Measured> {
  return withCopy(cluster, () =>
    session(cluster, "bench", async (client) => {
      const writer = startWriter(cluster)
      await writer.ready
      const { planned, vacuumed, ...took } = await work(client)
      const samples = writer.samples().filter(({ atMs }) => atMs >= planned[1])
      await writer.stop()
      const isVacuum = ({ atMs }: Sample) => vacuumed !== undefined && atMs >= vacuumed[0] && atMs <= vacuumed[1]
      return {
        ...took,
        latencies: samples.filter((sample) => !isVacuum(sample)).map(({ ms }) => ms),
        vacuumLatencies: samples.filter(isVacuum).map(({ ms }) => ms),
      }
    }),
  )
}

async function measureIdle(cluster: ScratchCluster): Promise<number[]> {
  return withCopy(cluster, async () => {
    const writer = startWriter(cluster)
    await writer.ready
    while (writer.samples().length < leastSamples) await wait(50)
    await writer.stop()
    return writer.samples().map(({ ms }) => ms)
  })
}

type Writer = { ready: Promise<void>; samples(): readonly Sample[]; stop(): Promise<void> }

/** Inserts a new event and updates a young one by its key, as two transactions, every 5 ms; what it falls behind it does not catch up. */
function startWriter(cluster: ScratchCluster): Writer {
  const samples: Sample[] = []
  const ready = Promise.withResolvers<void>()
  let isOver = false
  const done = session(cluster, "bench", async (client) => {
    const [row] = (await client.query("select max(id)::float8 as last from events")).rows
    let id = Number(row.last)
    ready.resolve()
    while (!isOver) {
      const elapsed = startTimer()
      id += 1
      const values = [id, 1 + (id % 100_000), "kind 1", "new"]
      await client.query("insert into events values ($1, $2, $3, $4, now())", values)
      samples.push({ atMs: clock(), ms: elapsed() })
      const second = startTimer()
      await client.query("update events set payload = $2 where id = $1", [id - 10 - (id % 5000), `changed ${id}`])
      samples.push({ atMs: clock(), ms: second() })
      await wait(Math.max(0, everyMs - elapsed()))
    }
  })
  done.catch(ready.reject)
  return {
    ready: ready.promise,
    samples: () => samples,
    async stop() {
      isOver = true
      await done
    },
  }
}

function latency(samples: readonly number[]): { p50: number; p99: number; max: number } {
  const sorted = samples.toSorted((a, b) => a - b)
  const share = (part: number) => sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * part))] ?? Number.NaN
  return { p50: share(0.5), p99: share(0.99), max: sorted.at(-1) ?? Number.NaN }
}

function print(results: Record<string, Pick<Measured, "latencies"> & Partial<Measured>>): void {
  const head = ["seconds", "rows/s", "samples", "p50 ms", "p99 ms", "max ms"].map((text) => text.padStart(11)).join("")
  console.log(`\n${"".padEnd(24)}${head}`)
  for (const [name, { rows, seconds, latencies }] of Object.entries(results)) {
    if (latencies.length === 0) continue
    const speed = rows && seconds ? [seconds.toFixed(2), formatCount(Math.round(rows / seconds))] : ["", ""]
    const { p50, p99, max } = latency(latencies)
    const figures = [...speed, formatCount(latencies.length), ...[p50, p99, max].map((ms) => ms.toFixed(1))]
    console.log(`${name.padEnd(24)}${figures.map((figure) => figure.padStart(11)).join("")}`)
  }
}

/** What the rate leaves out, and what it would be with it. */
function printLeftOut({ rows, seconds, planSeconds, vacuumSeconds }: Measured): void {
  const line = (name: string, more: number) => {
    const all = seconds + more
    console.log(
      `  with ${name.padEnd(17)}${all.toFixed(2).padStart(11)}${formatCount(Math.round(rows / all)).padStart(11)}`,
    )
  }
  console.log(
    `\nLeft out of the rate in batches: the final VACUUM, ${vacuumSeconds.toFixed(2)} s, and the plan, ${planSeconds.toFixed(2)} s`,
  )
  line("VACUUM", vacuumSeconds)
  line("VACUUM and plan", vacuumSeconds + planSeconds)
}

/** The speed is the median of the rounds' ratios, which holds when the machine's own speed drifts. */
function judge(idle: number[], rounds: Round[]): boolean {
  const ratios = rounds.map(({ whole, batches }) => whole.seconds / batches.seconds).toSorted((a, b) => a - b)
  const [low, high] = [ratios[Math.floor((ratios.length - 1) / 2)], ratios[Math.floor(ratios.length / 2)]]
  const share = ((low ?? Number.NaN) + (high ?? Number.NaN)) / 2
  const latencies = rounds.flatMap(({ batches }) => batches.latencies)
  const { p99, max } = latency(latencies)
  const p99Limit = Math.max(3 * latency(idle).p99, 25)
  const targets: [string, string, string, boolean][] = [
    ["rows/s, of the big DELETE's", share.toFixed(2), "at least 0.40", share >= 0.4],
    ["the writer's p99", `${p99.toFixed(1)} ms`, `at most ${p99Limit.toFixed(1)} ms`, p99 <= p99Limit],
    ["its longest wait", `${max.toFixed(0)} ms`, "at most 500 ms", max <= 500],
    ["its samples meanwhile", formatCount(latencies.length), "at least 5,000", latencies.length >= leastSamples],
  ]
  console.log()
  for (const [name, value, target, isMet] of targets)
    console.log(`${name.padEnd(30)}${value.padStart(12)}   ${target.padEnd(18)} ${isMet ? "met" : "MISSED"}`)
  return targets.every(([, , , isMet]) => isMet)
}

async function session<T>(cluster: ScratchCluster, database: string, fn: (client: Client) => Promise<T>): Promise<T> {
  return withClient(cluster.address(database), { applicationName: "bench", signal, statementTimeoutMs: 0 }, fn)
}

function numberOption(name: string, fallback: number): number {
  const at = process.argv.indexOf(name)
  const value = at < 0 ? fallback : Number(process.argv[at + 1])
  if (!Number.isInteger(value) || value < 1000) throw new Error(`${name} takes a whole number of 1000 or more`)
  return value
}
