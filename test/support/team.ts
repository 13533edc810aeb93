import { randomBytes } from "node:crypto"
import { mkdtemp, readFile, rm } from "node:fs/promises"
import { tmpdir } from "node:os"
import path from "node:path"
import { ListMultipartUploadsCommand } from "@aws-sdk/client-s3"
import { generateX25519Identity, identityToRecipient } from "age-encryption"
import { inject } from "vitest"
import { uncommentedConfig } from "../../lib/config/commented-defaults.ts"
import { directoryLedger } from "../../lib/ledger/directory.ts"
import { openStore } from "../../lib/store/open.ts"
import type { Store } from "../../lib/store/store.ts"
import { directoryUrl } from "./checkout.ts"
import { type HeartbeatServer, startHeartbeatServer } from "./heartbeat-server.ts"
import { type TestDatabase, withDatabase, withRole } from "./postgres.ts"
import { createBucket, s3Client, s3UrlFor } from "./s3-server.ts"
import { type SlackServer, startSlackServer } from "./slack-server.ts"
import { runWorkflow, type StepResult, type WorkflowOptions, type WorkflowRun } from "./workflow-runner.ts"

/** The workflow that teams run. */
export const file = ".github/workflows/backup.yml"

/** The password inside DATABASE_URL. */
export const password = `night-${randomBytes(8).toString("hex")}`

/** What a machine must be left with. */
export const nothing = { processes: [], files: [] }

/** The table that the assertion of `ops.config.ts` asks for. */
const sql = `create table preps (id int primary key, user_id int);
  insert into preps select i, i % 10 from generate_series(1, 500) i;`

/** More than one part of an upload, however well it is compressed. */
export const bulk = `create table bulk as
  select i, md5(random()::text) || md5(random()::text) || md5(random()::text) || md5(random()::text) as body
  from generate_series(1, 180000) i`

export type Team = {
  database: TestDatabase
  databaseUrl: string
  bucket: string
  store: Store
  slack: SlackServer
  heartbeat: HeartbeatServer
  ledger: string
  run(options: WorkflowOptions): Promise<WorkflowRun>
}

/** All that a team set up: a database, a bucket, keys, Slack, a heartbeat, a ledger, and `ops.config.ts` with its settings on. */
export async function withTeam(
  fn: (team: Team) => Promise<void>,
  { endpoint = inject("s3").endpoint, more = "" } = {},
): Promise<void> {
  const s3 = inject("s3")
  const bucket = `workflow-${randomBytes(4).toString("hex")}`
  await createBucket(s3, bucket)
  await using slack = await startSlackServer()
  await using heartbeat = await startHeartbeatServer()
  const identities = await Promise.all([generateX25519Identity(), generateX25519Identity()])
  const recipients = await Promise.all(identities.map((identity) => identityToRecipient(identity)))
  const config = uncommentedConfig(await readFile("ops.config.ts", "utf8"))
  const ledger = await mkdtemp(path.join(tmpdir(), "ledger-"))
  const secrets = {
    ...{ BACKUP_IDENTITY: identities[0] ?? "", SLACK_WEBHOOK_URL: slack.url },
    ...{ STORE_WRITE_KEY_ID: s3.accessKeyId, STORE_WRITE_SECRET_KEY: s3.secretAccessKey },
    ...{ STORE_READ_KEY_ID: s3.accessKeyId, STORE_READ_SECRET_KEY: s3.secretAccessKey },
  }
  const vars = {
    ...{ OPS_ENABLED: "true", POSTGRES_MAJOR: String(inject("postgres").major) },
    ...{ BACKUP_RECIPIENTS: recipients.join("\n"), BACKUP_STORE: s3UrlFor({ ...s3, endpoint }, bucket, "backups") },
    ...{
      HEARTBEAT_URL: heartbeat.url,
      LEDGER: directoryUrl(ledger),
      INCIDENTS: directoryUrl(path.join(ledger, "incidents")),
    },
  }
  await withDatabase(sql + more, (database) =>
    withRole(database, password, async (role) => {
      await database.query(`grant pg_read_all_data to ${role}`)
      const databaseUrl = database.urlAs(role, password)
      await fn({
        ...{ database, databaseUrl, slack, heartbeat, ledger, bucket },
        store: openStore(s3UrlFor(s3, bucket, "backups"), { variable: "BACKUP_STORE", credentials: s3 }),
        run: (options) =>
          runWorkflow(file, {
            ...{ ...options, vars, files: { "ops.config.ts": config } },
            secrets: { ...secrets, DATABASE_URL: databaseUrl, ...options.secrets },
          }),
      })
    }),
  ).finally(() => rm(ledger, { recursive: true }))
}

export async function names({ store }: Team): Promise<string[]> {
  return (await store.list("")).map(({ key }) => key)
}

/** The run lines of the ledger, in order. */
export async function runLines({ ledger }: Team): Promise<unknown[]> {
  const files = await directoryLedger(directoryUrl(ledger)).streams("runs")
  return (await Promise.all(files.map((file) => directoryLedger(directoryUrl(ledger)).read(file)))).flat()
}

export async function openUploads({ bucket }: Team): Promise<unknown[]> {
  const client = s3Client(inject("s3"))
  const { Uploads = [] } = await client.send(new ListMultipartUploadsCommand({ Bucket: bucket }))
  client.destroy()
  return Uploads
}

/** The step of each job that has its secrets, and all other steps. */
export function stepsOf({ jobs }: WorkflowRun): { backup: StepResult; test: StepResult; others: StepResult[] } {
  const steps = Object.values(jobs).flatMap((job) => job.steps)
  const [backup, test] = steps.filter(isJobStep)
  if (!backup || !test) throw new Error(`a job did not come to its step: ${JSON.stringify(steps)}`)
  const others = steps.filter((step) => !isJobStep(step)).flatMap((step) => [step, ...(step.steps ?? [])])
  return { backup, test, others }
}

export function isJobStep({ env }: StepResult): boolean {
  return "OPS_SLOT" in env
}
