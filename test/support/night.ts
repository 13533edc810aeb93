import { mkdtemp, rm, writeFile } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join, resolve } from "node:path"
import { PassThrough } from "node:stream"
import { text } from "node:stream/consumers"
import { pathToFileURL } from "node:url"
import { generateX25519Identity, identityToRecipient } from "age-encryption"
import { onTestFinished } from "vitest"
import backup from "../../jobs/backup.ts"
import cleanup from "../../jobs/cleanup.ts"
import decay from "../../jobs/decay.ts"
import maintenance from "../../jobs/maintenance.ts"
import restoreArchive from "../../jobs/restore-archive.ts"
import restoreTest from "../../jobs/restore-test.ts"
import type { Job } from "../../lib/job/job.ts"
import type { Run } from "../../lib/job/run.ts"
import { runJob } from "../../lib/job/runner.ts"
import { openStore } from "../../lib/store/open.ts"
import type { Store } from "../../lib/store/store.ts"
import { createDatabase, type TestDatabase } from "./postgres.ts"

const jobs = { backup, cleanup, decay, maintenance, "restore-archive": restoreArchive, "restore-test": restoreTest }
export type JobName = keyof typeof jobs

export type NightRun = { run: Run; exitCode: number; stdout: string; stderr: string }

export type Night = {
  database: TestDatabase
  /** The folder that stands for the checkout. */
  root: string
  store: Store
  storeUrl: string
  keys: { identity: string; recipient: string }
  run(job: JobName, at: string, env?: Record<string, string>, argv?: string[]): Promise<NightRun>
}

export type NightOptions = {
  sql?: string
  /** Options of `create database`. */
  database?: string
  /** Settings beside `url` of the database, as TypeScript: `backup: { … }` is merged in by the text itself. */
  settings?: string
  backup?: string
  storeUrl?: string
  signal?: AbortSignal
}

/** A database, an empty store, fresh keys and a configuration: all that a night needs. Kept, and its place printed, when the test fails. */
export async function setup(options: NightOptions = {}): Promise<Night> {
  const database = await createDatabase(options.sql, options.database)
  const root = await mkdtemp(join(tmpdir(), "nightshift-night-"))
  onTestFinished(async ({ task }) => {
    if (task.result?.state === "fail") return console.error(`kept for you: ${database.url} and ${root}`)
    await database.drop()
    await rm(root, { recursive: true, force: true })
  })
  const identity = await generateX25519Identity()
  const keys = { identity, recipient: await identityToRecipient(identity) }
  const storeUrl = options.storeUrl ?? pathToFileURL(join(root, "bucket")).href
  await writeFile(join(root, "ops.config.ts"), configText(options))
  const base = {
    DATABASE_URL: database.url,
    BACKUP_RECIPIENTS: keys.recipient,
    BACKUP_IDENTITY: identity,
    BACKUP_STORE: storeUrl,
  }
  return {
    database,
    root,
    keys,
    storeUrl,
    store: openStore(storeUrl, { variable: "BACKUP_STORE" }),
    run: (job, at, env = {}, argv = []) =>
      runOne(jobs[job] as Job, root, ["--now", at, ...argv], { ...base, ...env }, options.signal),
  }
}

async function runOne(
  job: Job,
  root: string,
  argv: string[],
  env: Record<string, string>,
  signal: AbortSignal | undefined,
): Promise<NightRun> {
  const [stdout, stderr] = [new PassThrough(), new PassThrough()]
  const outputs = Promise.all([text(stdout), text(stderr)])
  const { run, exitCode } = await runJob({ job, argv, env, root, stdout, stderr, ...(signal && { signal }) })
  stdout.end()
  stderr.end()
  const [out, err] = await outputs
  return { run, exitCode, stdout: out, stderr: err }
}

function configText({ settings = "", backup = "" }: NightOptions): string {
  const define = pathToFileURL(resolve("lib/config/define.ts")).href
  return `import { defineConfig, secret, variable } from ${JSON.stringify(define)}
export default defineConfig({
  app: { name: "Night" },
  databases: { main: { url: secret("DATABASE_URL"), backup: { recipients: variable("BACKUP_RECIPIENTS"), ${backup} }, ${settings} } },
})
`
}
