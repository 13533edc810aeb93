import { randomBytes } from "node:crypto"
import { mkdir, mkdtemp, readFile, rm, writeFile } from "node:fs/promises"
import { tmpdir } from "node:os"
import path from "node:path"
import { inject } from "vitest"
import { uncommentedConfig } from "../../lib/config/commented-defaults.ts"
import { directoryLedger } from "../../lib/ledger/directory.ts"
import { directoryUrl } from "./checkout.ts"
import { type GitHubServer, startGitHubServer } from "./github-server.ts"
import { startHeartbeatServer } from "./heartbeat-server.ts"
import { type TestDatabase, withDatabase, withRole } from "./postgres.ts"
import { type SlackServer, startSlackServer } from "./slack-server.ts"
import { isJobStep } from "./team.ts"
import { runWorkflow, type StepResult, type WorkflowOptions } from "./workflow-runner.ts"

export type DataWorkflow = "decay" | "cleanup" | "maintenance" | "database" | "alert"

export type DataWorld = {
  database: TestDatabase
  github: GitHubServer
  slack: SlackServer
  /** What each role logs in with. */
  urls: { reading: string; writing: string }
  /** Runs a workflow of the repository; `asTexts` hands booleans over unread, as a caller of the API may have written them. */
  run(workflow: DataWorkflow, options?: Partial<WorkflowOptions> & { asTexts?: true }): Promise<DataRun>
  /** Notes in the ledger that a set of now was restored and found equal. */
  verify(): Promise<void>
  /** The run lines of the ledger, in order. */
  lines(): Promise<Record<string, unknown>[]>
}

/** How a workflow ended, and the step in which its job ran. */
export type DataRun = { runName: string; result: string; step: StepResult; output: string }

/** Rows for the rules of `ops.config.ts`, of which some are due now. */
const sql = `create table fridge_items (id int primary key, freshness double precision not null, updated_at timestamptz not null);
  insert into fridge_items select i, 1, now() - interval '6 days' from generate_series(1, 20) i;
  create table user_sessions (id int primary key, expires_at timestamptz not null); create index on user_sessions (expires_at);
  insert into user_sessions select i, now() - i * interval '1 day' from generate_series(1, 35) i;
  create table events (id int, kind text) with (autovacuum_enabled = false); insert into events select i, 'kind' from generate_series(1, 2000) i`

/** A team whose data is cared for: a database with a role for reading and one for writing, issues, Slack, and `ops.config.ts` with its settings on. */
export async function withData(fn: (world: DataWorld) => Promise<void>): Promise<void> {
  await using github = await startGitHubServer({ token: "ghs_tokenOfTheRun" })
  await using slack = await startSlackServer()
  await using heartbeat = await startHeartbeatServer()
  github.repository("octocat/night")
  const config = uncommentedConfig(await readFile("ops.config.ts", "utf8"))
  const folder = await mkdtemp(path.join(tmpdir(), "data-workflows-"))
  const ledgerUrl = directoryUrl(path.join(folder, "ledger"))
  const ledger = directoryLedger(ledgerUrl)
  const password = `data-${randomBytes(8).toString("hex")}`
  const vars = {
    OPS_ENABLED: "true",
    LEDGER: ledgerUrl,
    HEARTBEAT_URL: heartbeat.url,
    POSTGRES_MAJOR: String(inject("postgres").major),
  }
  const world = (database: TestDatabase, urls: DataWorld["urls"]): DataWorld => ({
    ...{ database, github, slack, urls },
    async run(workflow, { asTexts, ...options } = {}) {
      const file = asTexts ? await withTexts(workflow, folder) : fileOf(workflow)
      const { runName, jobs } = await runWorkflow(file, {
        ...{ event: "schedule", apiUrl: github.url, ...options, vars },
        files: { "ops.config.ts": config },
        // All that a team has: each step gets what its file names of it.
        secrets: {
          ...{ DATABASE_URL: urls.reading, DATABASE_WRITE_URL: urls.writing, SLACK_WEBHOOK_URL: slack.url },
          ...{
            BACKUP_IDENTITY: "AGE-SECRET-KEY-UNUSED",
            STORE_WRITE_KEY_ID: "unused",
            STORE_WRITE_SECRET_KEY: "unused",
          },
        },
      })
      const [job] = Object.values(jobs)
      const step = job?.steps.find(isJobStep)
      if (!job || !step) throw new Error(`${workflow} did not come to its step: ${JSON.stringify(jobs)}`)
      return { runName, result: job.result, step, output: `${step.stdout}${step.stderr}` }
    },
    async verify() {
      const at = new Date().toISOString()
      const set = `${at.slice(0, 19).replaceAll(":", "-")}Z`
      const stream = "backups/main.jsonl"
      await ledger.append([
        { stream, row: { type: "set", set, snapshotAt: at, manifestSha256: "00" } },
        { stream, row: { type: "receipt", set, testedAt: at, verdict: "passed" } },
      ])
    },
    async lines() {
      const rows = await Promise.all((await ledger.streams("runs")).map((stream) => ledger.read(stream)))
      return rows.flat() as Record<string, unknown>[]
    },
  })
  await withDatabase(sql, (database) =>
    withRole(database, password, (reader) =>
      withRole(database, password, async (writer) => {
        await database.query(`grant pg_read_all_data, pg_monitor to ${reader}; grant pg_monitor to ${writer}`)
        await database.query(`grant create on database ${database.name} to ${writer}`)
        for (const table of ["fridge_items", "user_sessions", "events"])
          await database.query(`alter table ${table} owner to ${writer}`)
        const urls = { reading: database.urlAs(reader, password), writing: database.urlAs(writer, password) }
        await fn(world(database, urls))
      }),
    ),
  ).finally(() => rm(folder, { recursive: true, force: true }))
}

export function fileOf(workflow: DataWorkflow): string {
  return `.github/workflows/${workflow}.yml`
}

/** The same workflow with texts for inputs that are booleans, and nothing else that is different. */
async function withTexts(workflow: DataWorkflow, folder: string): Promise<string> {
  const text = await readFile(fileOf(workflow), "utf8")
  const file = path.join(folder, "texts", `${workflow}.yml`)
  await mkdir(path.dirname(file), { recursive: true })
  await writeFile(file, text.replaceAll(/type: boolean\n( +default:) false/g, 'type: string\n$1 "false"'))
  return file
}
