import { cp, mkdir, open, readdir, readFile, rm, stat, writeFile } from "node:fs/promises"
import { join, relative } from "node:path"
import { PassThrough } from "node:stream"
import { text } from "node:stream/consumers"
import { pathToFileURL } from "node:url"
import { generateX25519Identity, identityToRecipient } from "age-encryption"
import { levelNames, type Receipt, receiptSchema } from "../lib/backup/receipt.ts"
import { objectNames } from "../lib/backup/set.ts"
import { formatDuration } from "../lib/core/duration.ts"
import { errorText } from "../lib/core/error-text.ts"
import type { Log } from "../lib/core/log.ts"
import { formatCount } from "../lib/core/size.ts"
import type { Run } from "../lib/job/run.ts"
import { runJob } from "../lib/job/runner.ts"
import { withClient } from "../lib/postgres/connect.ts"
import { newestMajor } from "../lib/postgres/programs.ts"
import { type ScratchCluster, withScratchCluster } from "../lib/postgres/scratch-cluster.ts"
import { startTimer } from "../lib/system/clock.ts"
import { type ExampleApp, withExampleApp } from "./example-app.ts"
import { withSlackPrinter } from "./slack-printer.ts"

/*
 * The whole night on this machine: the PrepPilot example in a Postgres of its own, a directory as bucket, Slack printed to the
 * terminal. Every job is the real one. What it wrote stays in `.ops/demo` to be looked at; nothing is left running.
 */
const root = process.cwd()
const place = join(root, ".ops", "demo")
const bucket = join(place, "bucket")
const incidentFolder = join(place, "incidents")
const configFile = join(place, "ops.config.ts")
const programs = ["initdb", "postgres", "pg_dump", "pg_dumpall", "pg_restore", "psql"] as const
const quiet: Log = { debug() {}, info() {}, warn: say, error: say, progress: () => ({ at() {}, done() {} }) }

/** What Slack printed. */
const heard: string[] = []
const stop = new AbortController()
for (const name of ["SIGINT", "SIGTERM"] as const) process.once(name, () => stop.abort(new Error(`received ${name}`)))
process.exitCode = await playNight().catch((error: unknown) => {
  say(`the demo ended early: ${errorText(error)}`)
  return 1
})

async function playNight(): Promise<number> {
  const elapsed = startTimer()
  await rm(place, { recursive: true, force: true })
  await mkdir(place, { recursive: true })
  const major = await newestMajor(programs)
  say(`One night of Nightshift on this machine, with PostgreSQL ${major}\n`)
  const problems = await withScratchCluster({ major, log: quiet, signal: stop.signal }, (cluster) =>
    withSlackPrinter(hear, (slackUrl) => withExampleApp((app) => night(cluster, slackUrl, app))),
  )
  const verdict = problems.length === 0 ? "the backup is proven" : `not as it should be: ${problems.join("; ")}`
  say(`\n${verdict}; the night took ${formatDuration(elapsed())}`)
  return problems.length === 0 ? 0 : 1
}

/** Returns what did not go as a good night goes. */
async function night(cluster: ScratchCluster, slackUrl: string, app: ExampleApp): Promise<string[]> {
  await step(
    "database",
    async () => `PrepPilot with ${formatCount(await loadExample(cluster))} rows in a scratch Postgres`,
  )
  const env = await nightEnvironment(cluster, slackUrl)
  await writeFile(configFile, demoConfig(app.url))
  const problems = await pulse(env, app)
  if ((await runStep("backup", env)).exitCode !== 0) problems.push("the backup failed")
  if ((await runStep("restore-test", env)).exitCode !== 0) problems.push("the restore test failed")
  const { set, receipt } = await newestReceipt()
  const elapsed = startTimer()
  const damagedStore = await damageCopy(set)
  line("damage", elapsed(), `one bit of a copy turned over in ${relative(root, join(place, "damaged"))}`)
  const damaged = await runStep("restore-test", { ...env, ...damagedStore }, "a damaged copy, which must fail")
  if (damaged.exitCode !== 1) problems.push("the damaged copy was not caught")
  printProof(receipt)
  problems.push(...(await ageData(env)))
  say(
    `\nbackup set   ${relative(root, join(bucket, "main", set))}\nledger       ${relative(root, join(place, "ledger"))}\nincidents    ${relative(root, incidentFolder)}`,
  )
  say(`private key  ${relative(root, join(place, "key.txt"))} (only a demo keeps it beside the backup)`)
  return receipt.verdict === "passed" ? problems : [...problems, `the restore test ${receipt.verdict}`]
}

/** The app is kept warm and looked at; its database fails for a while, of which people hear once, and once that it is over. */
async function pulse(env: Record<string, string>, app: ExampleApp): Promise<string[]> {
  const problems: string[] = []
  const look = async (note: string | undefined, wanted: Run["outcome"]) => {
    const run = await runStep("health", env, note, ["--no-confirm"])
    if (run.outcome !== wanted || run.exitCode !== 0)
      problems.push(`health was ${run.outcome}, exit code ${run.exitCode}`)
  }
  if ((await runStep("keep-warm", env)).exitCode !== 0) problems.push("keep-warm failed")
  await look(undefined, "ok")
  app.breakDatabase()
  await look("the app loses its database", "fail")
  await look("half an hour later, still down", "fail")
  app.repair()
  await look("repaired", "ok")
  await look("and again well", "ok")
  for (const words of [/slack \| .*service\/api is down ·/g, /slack \| recovered after .*service\/api ·/g]) {
    const count = heard.join("\n").match(words)?.length ?? 0
    if (count !== 1) problems.push(`people heard ${count} times, and not once, what fits ${words.source}`)
  }
  return problems
}

/**
 * Values fade, rows that are done with leave, and the database is asked how it is: each planned first. The seed is months old, so that what
 * a first cleanup finds is above its cap: it takes nothing until it is told to.
 */
async function ageData(env: Record<string, string>): Promise<string[]> {
  const problems: string[] = []
  const run = async (name: string, wanted: number, note?: string, options: string[] = []) => {
    const { exitCode } = await runStep(name, env, note, options)
    if (exitCode !== wanted) problems.push(`${name}${note ? ` (${note})` : ""} ended with exit code ${exitCode}`)
  }
  say("")
  await run("decay", 0, "the plan", ["--dry-run", "--catch-up"])
  await run("decay", 0, undefined, ["--catch-up"])
  await run("cleanup", 1, "the plan, which is above its cap", ["--dry-run"])
  await run("cleanup", 0, undefined, ["--allow-large"])
  await run("database", 0)
  return problems
}

/** The example as it is, with the app of this machine in the place of the one on the internet; a scratch server's settings are reckless. */
function demoConfig(appUrl: string): string {
  const example = JSON.stringify(pathToFileURL(join(root, "examples", "preppilot", "ops.config.ts")).href)
  return `import example from ${example}
const { services } = example
export default {
  ...example,
  databases: { main: { ...example.databases.main, care: { ...example.databases.main.care, checks: { settings: { off: true } } } } },
  canaries: ["${appUrl}/"],
  services: {
    ...services,
    web: { ...services.web, url: "${appUrl}/" },
    api: { ...services.api, url: "${appUrl}/api/health", keepWarm: { ...services.api.keepWarm, hours: "00:00-24:00" } },
  },
}
`
}

async function loadExample(cluster: ScratchCluster): Promise<number> {
  await cluster.createDatabase({
    name: "preppilot",
    encoding: "UTF8",
    localeProvider: "libc",
    collate: "C.UTF-8",
    ctype: "C.UTF-8",
  })
  return withClient(cluster.address("preppilot"), { applicationName: "demo", signal: stop.signal }, async (client) => {
    for (const file of ["roles.sql", "schema.sql", "seed.sql"]) {
      await client.query(await readFile(join(root, "examples", "preppilot", file), "utf8"))
    }
    await client.query("analyze")
    const { rows } = await client.query(
      "select sum(reltuples)::bigint as rows from pg_class where relkind = 'r' and relnamespace = 'public'::regnamespace",
    )
    return Number(rows[0]?.rows)
  })
}

async function nightEnvironment(cluster: ScratchCluster, slackUrl: string): Promise<Record<string, string>> {
  const identity = await generateX25519Identity()
  const second = await generateX25519Identity()
  await writeFile(join(place, "key.txt"), `${identity}\n`, { mode: 0o600 })
  const { host, port, user } = cluster.address("preppilot")
  const url = `postgres://${user}@${encodeURIComponent(host)}:${port}/preppilot`
  return {
    DATABASE_URL: url,
    DATABASE_WRITE_URL: url,
    BACKUP_RECIPIENTS: `${await identityToRecipient(identity)}\n${await identityToRecipient(second)}`,
    BACKUP_IDENTITY: identity,
    BACKUP_STORE: pathToFileURL(bucket).href,
    LEDGER: pathToFileURL(join(place, "ledger")).href,
    INCIDENTS: pathToFileURL(incidentFolder).href,
    SLACK_WEBHOOK_URL: slackUrl,
    HEARTBEAT_URL: `${new URL(slackUrl).origin}/heartbeat`,
  }
}

/** Runs a job the way the command line does and says in one line what it did. */
async function runStep(name: string, env: Record<string, string>, note?: string, options: string[] = []): Promise<Run> {
  const [stdout, stderr] = [new PassThrough(), new PassThrough()]
  const argv = ["--config", configFile, ...options]
  const [output, printed, elapsed] = [text(stderr), text(stdout), startTimer()]
  const { run } = await runJob({ name, argv, env, root, stdout, stderr, signal: stop.signal })
  stderr.end()
  stdout.end()
  const findings = run.findings.map(({ subject, outcome, detail }) =>
    outcome === "ok" ? detail : `${subject} ${outcome}: ${detail}`,
  )
  const said = summaryOf(name, run, findings)
  line(note ? `${name}*` : name, elapsed(), note ? `${note}: ${said}` : said)
  if (run.dryRun) for (const row of planLines(await printed)) say(`   plan | ${row}`)
  if (run.exitCode !== 0 && !note) say(await output)
  return run
}

function summaryOf(name: string, run: Run, findings: readonly string[]): string {
  if (name === "health" || name === "keep-warm") return run.summary
  if (name !== "database") return findings.join("; ")
  const bad = run.findings.filter(({ outcome }) => outcome === "warn" || outcome === "fail")
  const told = bad.map(({ subject, detail }) => `${subject.split("/").at(-1)}: ${detail.split("; ")[0]}`)
  return [run.summary.split(";")[0], ...told].join("\n                        ")
}

/** A plan is Markdown; how the server would find the rows is left to the page on GitHub. */
function planLines(page: string): string[] {
  const shown = page.replaceAll(/<details>[\s\S]*?<\/details>/g, "").split("\n")
  return shown.filter((row) => row.trim() !== "" && !/^\|( --- \|)+$/.test(row))
}

async function step(name: string, fn: () => Promise<string>): Promise<string> {
  const elapsed = startTimer()
  const told = await fn()
  line(name, elapsed(), told)
  return told
}

async function newestReceipt(): Promise<{ set: string; receipt: Receipt }> {
  const set = (await readdir(join(bucket, "main"))).sort().at(-1) ?? "none"
  const files = (await readdir(join(bucket, "main", set))).filter((file) => file.startsWith("receipt-"))
  const receipt: unknown = JSON.parse(
    await readFile(join(bucket, "main", set, files.sort().at(-1) ?? "no receipt"), "utf8"),
  )
  return { set, receipt: receiptSchema.parse(receipt) }
}

/** Copies of the set and of the ledger, elsewhere, with one bit turned over in the middle of the dump. Returns where they are. */
async function damageCopy(set: string): Promise<{ BACKUP_STORE: string; LEDGER: string }> {
  const damaged = join(place, "damaged")
  const copy = join(damaged, "bucket", "main", set)
  await cp(join(bucket, "main", set), copy, { recursive: true })
  await cp(join(place, "ledger"), join(damaged, "ledger"), { recursive: true })
  const file = join(copy, objectNames.dump)
  const middle = Math.floor((await stat(file)).size / 2)
  const handle = await open(file, "r+")
  const byte = Buffer.alloc(1)
  await handle.read(byte, 0, 1, middle)
  await handle.write(Buffer.of((byte[0] ?? 0) ^ 1), 0, 1, middle)
  await handle.close()
  const url = (folder: string) => pathToFileURL(join(damaged, folder)).href
  return { BACKUP_STORE: url("bucket"), LEDGER: url("ledger") }
}

function printProof({ levels, timingsMs, totals }: Receipt): void {
  say(
    `\nWhat the restore test saw (${formatCount(totals?.tables ?? 0)} tables, ${formatCount(totals?.rows ?? 0)} rows came back)\n`,
  )
  for (const name of levelNames) say(`  ${name.padEnd(10)} ${levels[name].outcome.padEnd(8)} ${levels[name].detail}`)
  const phases = (["download", "decrypt", "restore", "verify"] as const).map(
    (phase) => `${phase} ${formatDuration(timingsMs[phase])}`,
  )
  say(`  ${"time".padEnd(10)} ${phases.join(", ")}`)
}

function line(name: string, ms: number, told: string): void {
  say(`${name.padEnd(14)}${formatDuration(ms).padStart(8)}  ${told}`)
}

function hear(message: string): void {
  heard.push(message)
  say(message)
}

function say(message: string): void {
  process.stdout.write(`${message}\n`)
}
