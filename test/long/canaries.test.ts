import { randomBytes } from "node:crypto"
import { readdir, readFile } from "node:fs/promises"
import { join } from "node:path"
import { generateX25519Identity, identityToRecipient } from "age-encryption"
import { expect, inject, it } from "vitest"
import { findJob, jobNames } from "../../lib/job/find.ts"
import { openStore } from "../../lib/store/open.ts"
import { recordActions } from "../support/actions-output.ts"
import { leaks, type Output, objects, watchCommandLines } from "../support/canaries.ts"
import { type Checkout, directoryUrl, makeCheckout } from "../support/checkout.ts"
import { startFaultyProxy } from "../support/faulty-proxy.ts"
import { startGitHubServer } from "../support/github-server.ts"
import { type HeartbeatServer, startHeartbeatServer } from "../support/heartbeat-server.ts"
import { type TestDatabase, withDatabase, withRole } from "../support/postgres.ts"
import { createBucket, s3UrlFor } from "../support/s3-server.ts"
import { type SlackServer, startSlackServer } from "../support/slack-server.ts"

/** Secrets of all kinds, with characters that look different when they are encoded. */
const canary = (kind: string) => `${kind}+/?=&${randomBytes(9).toString("hex")}`
const passwords = { right: canary("right"), wrong: canary("wrong"), inUrl: canary("inUrl") }
const token = `ghs_${randomBytes(18).toString("hex")}`

const config = `
  app: { name: "Canary" },
  canaries: ["http://127.0.0.1:1"],
  services: {
    db: { postgres: secret("DATABASE_URL"), keepWarm: { sql: "select id from notes limit 1" } },
    cache: { redis: secret("REDIS_URL"), dependsOn: ["db"] },
    api: { url: "http://127.0.0.1:1/health", headers: { authorization: secret("API_TOKEN") }, body: secret("API_TOKEN"), method: "POST" },
  },
  databases: { main: {
    url: secret("DATABASE_URL"), writeUrl: secret("DATABASE_WRITE_URL"),
    backup: { recipients: variable("BACKUP_RECIPIENTS") },
    assertions: [{ name: "notes have text", sql: "select id from notes where body is null" }],
  } },
  alerts: { slack: secret("SLACK_WEBHOOK_URL"), heartbeat: secret("HEARTBEAT_URL") }`
const sql =
  "create table notes (id int primary key, body text); insert into notes select i, 'note ' || i from generate_series(1, 50) i"

type Stage = {
  checkout: Checkout
  slack: SlackServer
  heartbeat: HeartbeatServer
  env: Record<string, string>
  s3Url: (endpoint?: string) => string
  emptyStore: string
}
type Scenario = { name: string; env?: Record<string, string>; argv?: string[]; inActions?: true }

it("no secret reaches any output of any job, on good nights and bad ones", { timeout: 180_000 }, async () => {
  await withStage(async (stage) => {
    const proxy = await startFaultyProxy(inject("s3").endpoint, [{ fault: { answer: 403 } }])
    const watched = watchCommandLines()
    const outputs: Output[] = []
    for (const scenario of scenarios(stage, proxy.url)) outputs.push(...(await play(scenario, stage)))
    await proxy.stop()
    const commands = await watched.stop()
    expect(commands.text).toMatch(/pg_dump.*pg_restore/s)
    outputs.push(commands, ...(await kept(stage)))

    expect(outputs.flatMap((output) => leaks(output, secretsOf(stage)))).toEqual([])
    // Something was there to be hidden.
    expect(outputs.filter(({ text }) => text.includes("***")).length).toBeGreaterThan(0)
  })
})

it("a secret is found in each of its forms", () => {
  const forms = [
    passwords.right,
    encodeURIComponent(passwords.right),
    btoa(passwords.right),
    btoa(`a:${passwords.right}`),
  ]
  for (const form of forms)
    expect(leaks({ where: "here", text: `before ${form} after` }, { right: passwords.right })).toHaveLength(1)
  expect(leaks({ where: "here", text: "nothing" }, { right: passwords.right })).toEqual([])
})

function scenarios({ env, s3Url, emptyStore }: Stage, forbidden: string): Scenario[] {
  const withPassword = (password: string) => ({ DATABASE_URL: setPassword(env.DATABASE_URL ?? "", password) })
  const elsewhere = { BACKUP_STORE: emptyStore }
  const inUrl = `x:${encodeURIComponent(passwords.inUrl)}@host`
  return [
    { name: "a good night", env: { LOG_LEVEL: "debug" }, argv: ["--json"] },
    { name: "a good night inside Actions", env: { RUNNER_DEBUG: "1" }, inActions: true },
    { name: "a dry run", argv: ["--dry-run"] },
    { name: "a wrong password", env: { ...withPassword(passwords.wrong), ...elsewhere }, inActions: true },
    { name: "no server", env: { DATABASE_URL: (env.DATABASE_URL ?? "").replace(/:\d+\//, ":1/"), ...elsewhere } },
    { name: "a store that forbids", env: { BACKUP_STORE: s3Url(forbidden) }, inActions: true },
    { name: "a wrong key of the store", env: { AWS_SECRET_ACCESS_KEY: passwords.wrong } },
    { name: "another private key", env: { BACKUP_IDENTITY: env.OTHER_IDENTITY ?? "" }, argv: ["--json"] },
    {
      name: "nobody to tell",
      env: { ...elsewhere, ...spoilt(env, "SLACK_WEBHOOK_URL"), ...spoilt(env, "HEARTBEAT_URL") },
    },
    {
      name: "settings that are wrong",
      inActions: true,
      env: {
        ...{
          DATABASE_URL: `postgres://${inUrl}:port/db?sslmode=no&password=${passwords.wrong}`,
          DATABASE_WRITE_URL: inUrl,
        },
        ...{ BACKUP_IDENTITY: `${env.BACKUP_IDENTITY}X`, BACKUP_RECIPIENTS: env.BACKUP_IDENTITY ?? "" },
        ...{ BACKUP_STORE: `s3://${inUrl}/bucket?secret=${passwords.wrong}`, LEDGER: `https://${inUrl}/ledger` },
        ...{ HEARTBEAT_URL: `hc-ping.com/${passwords.inUrl}`, SLACK_WEBHOOK_URL: `ftp://${inUrl}` },
      },
    },
    {
      name: "secrets in the wrong place",
      inActions: true,
      env: { ...elsewhere, OPS_SLOT: env.SLACK_WEBHOOK_URL ?? "", OPS_REASON: `see ${env.SLACK_WEBHOOK_URL}` },
      argv: ["--database", env.BACKUP_IDENTITY ?? "", `--now=${env.HEARTBEAT_URL}`],
    },
    { name: "a secret for a name", env: elsewhere, argv: ["--database", env.HEARTBEAT_URL ?? ""] },
  ]
}

/** Every job in a scenario, in the order of their names, and what each wrote. */
async function play({ name, env = {}, argv = [], inActions }: Scenario, stage: Stage): Promise<Output[]> {
  const outputs: Output[] = []
  // Of a private repository: that of a public one says less.
  const GITHUB_EVENT_PATH = await stage.checkout.write("event.json", `{ "repository": { "private": true } }`)
  const all: Record<string, string> = { ...stage.env, ...(inActions && { ...actions, GITHUB_EVENT_PATH }), ...env }
  // The store's client takes its keys from the process.
  const { AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY } = all
  Object.assign(process.env, { AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY })
  for (const job of await jobNames(process.cwd())) {
    const page = recordActions(join(stage.checkout.dir, `summary-${job}.md`))
    const options = { env: all, argv, ...(inActions && { actions: page }) }
    const { run, stdout, stderr } = await stage.checkout.run(await findJob(process.cwd(), job), options)
    const texts = { stdout, stderr, run: JSON.stringify(run), annotations: JSON.stringify(page.annotations) }
    for (const [part, text] of Object.entries(texts)) outputs.push({ where: `${part} of ${job}, ${name}`, text })
  }
  return outputs
}

const actions = {
  ...{ GITHUB_ACTIONS: "true", CI: "true", GITHUB_EVENT_NAME: "workflow_dispatch", GITHUB_REPOSITORY: "acme/shop" },
  ...{ GITHUB_RUN_ID: "77", GITHUB_SHA: "0123456789abcdef0123456789abcdef01234567", GITHUB_TOKEN: token },
}

/** What lies about when all is over: files, summaries and ledger in the checkout, the store, what Slack and the heartbeat heard. */
async function kept({ checkout, slack, heartbeat, env, s3Url }: Stage): Promise<Output[]> {
  const files = (await readdir(checkout.dir, { recursive: true, withFileTypes: true })).filter((entry) =>
    entry.isFile(),
  )
  const written = files.map(async (file) => {
    const where = join(file.parentPath, file.name)
    return { where, text: await readFile(where, "latin1") }
  })
  const stored = await objects(
    openStore(s3Url(), { variable: "BACKUP_STORE", credentials: inject("s3") }),
    env.BACKUP_IDENTITY ?? "",
  )
  expect(stored.length).toBeGreaterThan(10)
  expect(slack.received.length).toBeGreaterThan(4)
  expect(heartbeat.pings.length).toBeGreaterThan(4)
  const heard = { slack: slack.received, heartbeat: heartbeat.pings }
  return [
    ...(await Promise.all(written)),
    ...stored,
    ...Object.entries(heard).map(([where, what]) => ({ where, text: JSON.stringify(what) })),
  ]
}

function secretsOf({ env }: Stage): Record<string, string> {
  const last = (url = "") => new URL(url).pathname.split("/").at(-1) ?? ""
  return {
    ...{ ...passwords, token, identity: env.BACKUP_IDENTITY ?? "", otherIdentity: env.OTHER_IDENTITY ?? "" },
    ...{ storeKey: env.AWS_ACCESS_KEY_ID ?? "", storeSecret: env.AWS_SECRET_ACCESS_KEY ?? "" },
    ...{ slack: last(env.SLACK_WEBHOOK_URL), heartbeat: last(env.HEARTBEAT_URL) },
  }
}

function setPassword(url: string, password: string): string {
  return url.replace(/:[^:@/]*@/, `:${encodeURIComponent(password)}@`)
}

/** An address that nobody listens to any more. */
function spoilt(env: Record<string, string>, name: string): Record<string, string> {
  return { [name]: `${env[name]}gone` }
}

async function withStage(fn: (stage: Stage) => Promise<void>): Promise<void> {
  const s3 = inject("s3")
  const bucket = `canary-${randomBytes(4).toString("hex")}`
  await createBucket(s3, bucket)
  await using slack = await startSlackServer()
  await using heartbeat = await startHeartbeatServer()
  await using github = await startGitHubServer({ token })
  await using checkout = await makeCheckout(config)
  const [identity, other] = [await generateX25519Identity(), await generateX25519Identity()]
  const s3Url = (endpoint = s3.endpoint) => s3UrlFor({ ...s3, endpoint }, bucket, "sets")
  const play = (database: TestDatabase, role: string) => {
    const url = database.urlAs(role, passwords.right)
    const env = {
      ...{ DATABASE_URL: url, DATABASE_WRITE_URL: url, SLACK_WEBHOOK_URL: slack.url, HEARTBEAT_URL: heartbeat.url },
      ...{ BACKUP_IDENTITY: identity, OTHER_IDENTITY: other, LEDGER: directoryUrl(join(checkout.dir, "ledger")) },
      ...{
        REDIS_URL: `redis://:${encodeURIComponent(passwords.wrong)}@127.0.0.1:1/0`,
        API_TOKEN: `Bearer ${passwords.right}`,
      },
      ...{ GITHUB_TOKEN: token, GITHUB_REPOSITORY: "acme/shop", GITHUB_API_URL: github.url },
      ...{ OPS_NO_CONFIRM: "true", OPS_RUN: "5" },
      ...{ AWS_ACCESS_KEY_ID: s3.accessKeyId, AWS_SECRET_ACCESS_KEY: s3.secretAccessKey, BACKUP_STORE: s3Url() },
    }
    const emptyStore = directoryUrl(join(checkout.dir, "empty"))
    return identityToRecipient(identity).then((BACKUP_RECIPIENTS) =>
      fn({ checkout, slack, heartbeat, env: { ...env, BACKUP_RECIPIENTS }, s3Url, emptyStore }),
    )
  }
  await withDatabase(sql, (database) =>
    withRole(database, passwords.right, async (role) => {
      await database.query(`grant pg_read_all_data to ${role}`)
      await play(database, role)
    }),
  )
}
