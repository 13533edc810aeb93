import { readFile } from "node:fs/promises"
import { join } from "node:path"
import { generateX25519Identity, identityToRecipient } from "age-encryption"
import type { Client } from "pg"
import cleanupJob from "../../jobs/cleanup.ts"
import databaseJob from "../../jobs/database.ts"
import decayJob from "../../jobs/decay.ts"
import maintenanceJob from "../../jobs/maintenance.ts"
import type { Finding } from "../../lib/core/finding.ts"
import type { Job } from "../../lib/job/job.ts"
import type { PostgresAddress } from "../../lib/postgres/address.ts"
import { withClient } from "../../lib/postgres/connect.ts"
import { directoryUrl, makeCheckout, moduleUrl, type Outcome } from "../support/checkout.ts"
import { createDatabase } from "../support/postgres.ts"
import { startSlackServer } from "../support/slack-server.ts"

const jobs = {
  cleanup: cleanupJob as Job,
  database: databaseJob as Job,
  decay: decayJob as Job,
  maintenance: maintenanceJob as Job,
}

/** When the nights of the examples begin, some hours after all of their rows were made. */
export const today = "2026-11-16T05:11:00Z"

/** SQL: a time is so many days before that. */
export function olderThan(column: string, days: number): string {
  return `${column} < timestamptz '${today}' - interval '${days} days'`
}

type Row = Record<string, unknown>

/** An example's own configuration at work on its own tables. */
export type ExampleWorld = {
  query(sql: string): Promise<Row[]>
  /** Rows of `… from`, such as `users where email is null`. */
  count(from: string): Promise<number>
  run(job: keyof typeof jobs, argv?: string[], at?: string): Promise<Outcome>
}

/** Other settings of `databases.main.care`, for a database of so many bytes. */
type Tuning = (databaseBytes: number) => Row

/** An example in a database of the shared server, with a directory as the store. */
export async function withExample(
  name: string,
  fn: (world: ExampleWorld) => Promise<void>,
  tune?: Tuning,
): Promise<void> {
  const database = await createDatabase(await readFile(`examples/${name}/schema.sql`, "utf8"))
  try {
    await withConfiguration(name, database, fn, tune)
  } finally {
    await database.drop()
  }
}

/** An example in a database of a scratch server, in which its tables are already. */
export async function withExampleAt(
  name: string,
  address: PostgresAddress,
  fn: (world: ExampleWorld) => Promise<void>,
): Promise<void> {
  const { host, port, user, database } = address
  const url = `postgres://${user}@${encodeURIComponent(host)}:${port}/${database}`
  const query = (sql: string) =>
    withClient(address, { applicationName: "tests" }, async (client: Client) => (await client.query<Row>(sql)).rows)
  await withConfiguration(name, { url, query }, fn)
}

async function withConfiguration(
  name: string,
  { url, query }: { url: string; query(sql: string): Promise<Row[]> },
  fn: (world: ExampleWorld) => Promise<void>,
  tune?: Tuning,
): Promise<void> {
  await using checkout = await makeCheckout()
  await using slack = await startSlackServer()
  const count = async (from: string) => Number((await query(`select count(*) as n from ${from}`))[0]?.n)
  const [{ bytes } = {}] = await query("select pg_database_size(current_database()) as bytes")
  await checkout.write("ops.config.ts", configOf(name, tune?.(Number(bytes))))
  const env = {
    DATABASE_URL: url,
    DATABASE_WRITE_URL: url,
    BACKUP_RECIPIENTS: await identityToRecipient(await generateX25519Identity()),
    BACKUP_STORE: directoryUrl(join(checkout.dir, "bucket")),
    SLACK_WEBHOOK_URL: slack.url,
    HEARTBEAT_URL: slack.url,
  }
  const run: ExampleWorld["run"] = (job, argv = [], at = today) => checkout.run(jobs[job], { argv, now: at, env })
  await fn({ query, count, run })
}

function configOf(name: string, care: Row = {}): string {
  return `import example from ${JSON.stringify(moduleUrl(`examples/${name}/ops.config.ts`))}
const { main } = example.databases
export default { ...example, databases: { main: { ...main, care: { ...main.care, ...${JSON.stringify(care)} } } } }
`
}

/** What a run said of `database/main/<subject>`. */
export function findingOf({ run }: Outcome, subject: string): Finding | undefined {
  return run.findings.find((finding) => finding.subject === `database/main/${subject}`)
}

/** What a run found to have failed. */
export function failuresOf({ run }: Outcome): Finding[] {
  return run.findings.filter(({ outcome }) => outcome === "fail")
}
