import { PassThrough } from "node:stream"
import { text } from "node:stream/consumers"
import { generateX25519Identity } from "age-encryption"
import { expect, it } from "vitest"
import restoreArchive from "../../jobs/restore-archive.ts"
import type { Job } from "../../lib/job/job.ts"
import { runJob } from "../../lib/job/runner.ts"
import { withClient } from "../../lib/postgres/connect.ts"
import { ensureOpsTables } from "../../lib/postgres/ops-schema.ts"
import { archiveRows } from "../../lib/retention/archive.ts"
import { parseRecipients } from "../../lib/seal/recipients.ts"
import { applyContext, planOf } from "../support/cleanup-plan.ts"
import { type Night, setup } from "../support/night.ts"

const sql = `create table messages (id int primary key, sent_at timestamptz not null, body text);
  create index on messages (sent_at);
  insert into messages select i, '2025-01-01Z'::timestamptz + i * interval '1 hour', nullif('secret of ' || i, 'secret of 3')
    from generate_series(1, 40) i;`

/** A night whose messages older than January 10th were archived. */
async function archivedNight(): Promise<Night> {
  const night = await setup({ sql, settings: 'writeUrl: secret("DATABASE_WRITE_URL"), ' })
  const recipients = parseRecipients(night.keys.recipient, "BACKUP_RECIPIENTS")
  await withClient(night.database.address, { applicationName: "tests" }, async (client) => {
    await ensureOpsTables(client, ["archive_part"])
    const plan = await planOf(client, { table: "messages", where: "t.id <= 30", order: ["sent_at", "id"] })
    const more = { store: night.store, recipients, database: "main", run: "20260301T040000Z-ab12" }
    const done = await archiveRows({ ...plan, rule: "messages", action: "archive" }, applyContext(client, more))
    expect(done).toMatchObject({ removed: 30 })
  })
  return night
}

async function run({ root, database, keys, storeUrl }: Night, argv: string[], env: Record<string, string> = {}) {
  const [stdout, stderr] = [new PassThrough(), new PassThrough()]
  const outputs = Promise.all([text(stdout), text(stderr)])
  const values = { DATABASE_WRITE_URL: database.url, BACKUP_IDENTITY: keys.identity, BACKUP_STORE: storeUrl, ...env }
  const { run, exitCode } = await runJob({ job: restoreArchive as Job, argv, env: values, root, stdout, stderr })
  stdout.end()
  stderr.end()
  const [out, err] = await outputs
  return { run, exitCode, out, err, all: out + err }
}

const into = ["--rule", "messages", "--into", "archive_messages"]

it("says what is wrong with its settings and options, and does nothing", async () => {
  const night = await archivedNight()
  expect(await run(night, ["--into", "x"])).toMatchObject({
    exitCode: 2,
    all: expect.stringContaining("--rule is missing"),
  })
  const noUrl = await run(night, into, { DATABASE_WRITE_URL: "" })
  expect(noUrl).toMatchObject({ exitCode: 2, all: expect.stringContaining("DATABASE_WRITE_URL is missing") })
  const other = await run(night, into, { BACKUP_IDENTITY: await generateX25519Identity() })
  expect(other).toMatchObject({ exitCode: 2, all: expect.stringContaining("was sealed for") })
  expect(await run(night, [...into, "--database", "mian"])).toMatchObject({
    exitCode: 2,
    all: expect.stringContaining("there is main"),
  })
  expect(await night.database.query("select to_regclass('archive_messages') as t")).toEqual([{ t: null }])
})

it("brings the rows back, prints the statement that puts them into their table, and shows no row", async () => {
  const night = await archivedNight()

  const dry = await run(night, [...into, "--dry-run"])
  expect(dry).toMatchObject({
    exitCode: 0,
    all: expect.stringContaining("1 part of messages with 30 rows would be loaded"),
  })
  expect(await night.database.query("select to_regclass('archive_messages') as t")).toEqual([{ t: null }])

  const done = await run(night, into)
  expect(done).toMatchObject({
    exitCode: 0,
    run: { outcome: "ok", summary: expect.stringContaining("30 rows loaded") },
  })
  expect(done.all + dry.all).not.toContain("secret of")
  await night.database.query(done.out)
  const [found] = await night.database.query("select count(*)::int as n, count(body)::int as bodies from messages")
  expect(found).toEqual({ n: 40, bodies: 39 })

  const again = await run(night, [...into, "--append"])
  expect(again.run.findings[0]?.detail).toContain("1 part had been loaded before")
  expect(await run(night, into)).toMatchObject({ exitCode: 2 })
})

it("turns red when a part is missing, and says which", async () => {
  const night = await archivedNight()
  const [object] = (await night.store.list("archives/")).filter(({ key }) => key.endsWith(".age"))
  await night.store.remove(object?.key ?? "")
  const done = await run(night, into)
  expect(done).toMatchObject({ exitCode: 1, run: { outcome: "fail" } })
  expect(done.run.findings[0]?.detail).toContain(`${object?.key} is missing`)
})
