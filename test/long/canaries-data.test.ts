import { randomBytes } from "node:crypto"
import { readdir, readFile } from "node:fs/promises"
import { join } from "node:path"
import { generateX25519Identity, identityToRecipient } from "age-encryption"
import pg from "pg"
import { expect, it } from "vitest"
import { findJob } from "../../lib/job/find.ts"
import { openStore } from "../../lib/store/open.ts"
import { recordActions } from "../support/actions-output.ts"
import { leaks, type Output, objects, watchCommandLines } from "../support/canaries.ts"
import { type Checkout, directoryUrl, makeCheckout } from "../support/checkout.ts"
import { type GitHubServer, startGitHubServer } from "../support/github-server.ts"
import { startHeartbeatServer } from "../support/heartbeat-server.ts"
import { type TestDatabase, withDatabase, withRole } from "../support/postgres.ts"
import { type SlackServer, startSlackServer } from "../support/slack-server.ts"

const mark = () => randomBytes(9).toString("hex")
const passwords = { reading: `read+/?=&${mark()}`, writing: `write+/?=&${mark()}` }
const token = `ghs_${mark()}${mark()}`
/** What is looked for of the rows: the part of a key and of a text that no quoting or escaping changes. */
const personal = { key: mark(), text: mark() }
const key = `key.${personal.key}@example.com`
const text = `Ada "the first" ${personal.text}@example.com`

const dayJobs = ["decay", "cleanup", "maintenance", "database"]

/** Tables of the same four people, who are their keys; what becomes of each is said by its name. */
const tables = [
  ...["sessions", "messages", "gone", "found", "many", "orphans"],
  ...["clashing", "checked", "quoting", "raising", "coded", "archive_raising"],
  ...["fading", "fade_quoting", "fade_checked", "fade_raising", "falling"],
]
const sql = `
  create table people (email text primary key, note text, at timestamptz not null, handle text unique, age int,
    code text check (code !~ '@'), value double precision check (value > 3));
  create index on people (at);
  insert into people select i || '${key}', '${text}', '2026-01-01', 'handle ' || i, i, 'c', 8 from generate_series(1, 4) i;
  create function complain() returns trigger language plpgsql as $$ begin
    raise exception 'no: %', old.note using detail = old.email, errcode = case tg_argv[0] when '' then 'P0001' else tg_argv[0] end; end $$;
  create function is_fine(note text) returns boolean language plpgsql immutable as $$ begin raise exception 'no: %', note; end $$;
  ${tables.map((name) => `create table ${name} (like people including all); insert into ${name} select * from people;`).join("\n")}
  create trigger complain before delete on raising for each row execute function complain('');
  create trigger complain before delete on coded for each row execute function complain('23514');
  create trigger complain before delete on archive_raising for each row execute function complain('');
  create trigger complain before update on fade_raising for each row execute function complain('55000');
  alter table orphans add foreign key (handle) references people (email) not valid, add check (age::text = note) not valid;
  create table judged as select * from people; alter table judged add constraint fine check (is_fine(note)) not valid;
  create table twice as select note from people`

const old = (table: string, more = "maxShare: 100") =>
  `{ name: ${JSON.stringify(table)}, table: "${table}", column: "at", olderThan: "30 days", ${more} }`
const fade = (table: string, more: string) =>
  `{ name: "${table}", table: "${table}", column: "value", since: "at", floor: 4, ${more} }`
const set = (cells: string) => `maxShare: 100, action: "set", set: { ${cells} }`

const config = `
  app: { name: "Canary" },
  databases: { main: {
    url: secret("DATABASE_URL"), writeUrl: secret("DATABASE_WRITE_URL"), verifiedBackupWithin: false,
    backup: { recipients: variable("BACKUP_RECIPIENTS") },
    cleanup: [
      ${old("sessions")}, ${old("messages", 'maxShare: 100, action: "archive"')}, ${old("gone", 'maxShare: 100, action: "anonymise", set: { note: null }')},
      ${old("found", 'action: "report"')}, ${old("many", "")},
      ${old("clashing", set('handle: { sql: "note" }'))}, ${old("checked", set('code: { sql: "note" }'))}, ${old("quoting", set('age: { sql: "note::int" }'))},
      ${old("raising")}, ${old("coded")}, ${old("archive_raising", 'maxShare: 100, action: "archive"')},
      { name: "doubles", table: "found", column: "at", duplicates: { by: ["note"] } },
    ],
    decay: [
      ${fade("fading", `halfLife: "30 days", thresholds: [{ below: 5, action: "mark", set: { code: "low" } }, { below: 6 }]`)},
      ${fade("fade_quoting", 'base: 8, expression: "base * item.note::double precision"')},
      ${fade("fade_checked", 'halfLife: "1 day"').replace("floor: 4", "floor: 0")}, ${fade("fade_raising", 'halfLife: "30 days"')},
      ${fade("falling", 'halfLife: "1 day", thresholds: [{ below: 4, action: "delete" }]')},
    ],
    care: { limits: { egressBytes: 1000 }, egressSql: "select note::bigint from public.people where at < $1::timestamptz" },
  } },
  alerts: { slack: secret("SLACK_WEBHOOK_URL"), heartbeat: secret("HEARTBEAT_URL") }`

type Stage = {
  checkout: Checkout
  database: TestDatabase
  slack: SlackServer
  github: GitHubServer
  env: Record<string, string>
  /** Keys of sealed objects, which hold all of it. */
  identity: string
}
type Place = "hand" | "private" | "public"
type Play = {
  place: Place
  argv?: string[]
  env?: Record<string, string>
  jobs?: string[]
  /** What it found is looked at afterwards. */
  isKept?: true
}

it("no value of a row and no secret reaches any output of the jobs that change and check data", {
  timeout: 180_000,
}, async () => {
  await withStage(async (stage) => {
    const watched = watchCommandLines()
    const outputs: Output[] = []
    const details = new Map<string, string>()
    for (const one of plays(stage)) outputs.push(...(await play(one, stage, details)))
    outputs.push(...(await restores(stage, details)), ...(await kept(stage)), await watched.stop())

    expect(Object.fromEntries(details)).toMatchObject(failures)
    const shown = outputs.filter(({ where }) => !where.includes("opened"))
    const [byHand, others] = [shown.filter(showsKeys), shown.filter((output) => !showsKeys(output))]
    expect(others.flatMap((output) => leaks(output, { ...secretsOf(stage), ...personal }))).toEqual([])
    expect(byHand.flatMap((output) => leaks(output, { ...secretsOf(stage), text: personal.text }))).toEqual([])
    // They were there to be found.
    expect(byHand.filter((output) => output.text.includes(personal.key)).map(({ where }) => where)).toEqual([
      "stdout of decay, by hand --dry-run",
      "stdout of cleanup, by hand --dry-run",
    ])
    const opened = outputs.filter(({ where, text }) => where.includes("opened") && text.includes(personal.key))
    expect(opened.length).toBeGreaterThan(0)
    expect(stage.github.issues("acme/shop").length).toBeGreaterThan(4)
    expect(stage.slack.received.length).toBeGreaterThan(4)
  })
})

/** Keys are for the eyes of a person who looks at a plan on a machine of their own. */
const showsKeys = ({ where }: Output) => /^stdout of \w+, by hand --dry-run$/.test(where)

/** How each thing went wrong that was to go wrong: else nothing would have been there to hide. */
const failures: Record<string, unknown> = {
  "database/main/cleanup/many": expect.stringContaining("refused, nothing was done"),
  "database/main/cleanup/clashing": expect.stringContaining('violates unique constraint "clashing_handle_key"'),
  "database/main/cleanup/checked": expect.stringContaining("violates check constraint"),
  "database/main/cleanup/quoting": expect.stringContaining('invalid input syntax for type integer: "…"'),
  "database/main/cleanup/raising": expect.stringContaining("a trigger or function of the database raised an error"),
  "database/main/cleanup/coded": expect.stringContaining("a trigger or function of the database raised an error"),
  "database/main/cleanup/archive_raising": expect.stringContaining("a trigger or function of the database raised"),
  "database/main/cleanup/doubles": expect.stringContaining("3 rows of public.found"),
  "database/main/decay/fade_quoting": expect.stringContaining("invalid input syntax for type double precision"),
  "database/main/decay/fade_checked": expect.stringContaining("violates check constraint"),
  "database/main/decay/fade_raising": expect.stringContaining("a trigger or function of the database raised an error"),
  "database/main/maintenance/validate": expect.stringMatching(/public\.orphans\.orphans_handle_fkey .*4 rows break it/),
  "database/main/maintenance/reindex": expect.stringContaining("its rows hold duplicates"),
  "database/main/care/limits": expect.stringContaining("invalid input syntax"),
  "database/main/restore-archive": expect.stringContaining("raised an error"),
}

function plays({ env }: Stage): Play[] {
  const wrong = { DATABASE_WRITE_URL: (env.DATABASE_WRITE_URL ?? "").replace(/@/, "x@") }
  return [
    { place: "private", argv: ["--dry-run"] },
    { place: "public", argv: ["--dry-run"] },
    { place: "hand", argv: ["--dry-run"] },
    { place: "private", env: wrong },
    { place: "private", argv: ["--limit", "2"], jobs: ["cleanup"] },
    { place: "public" },
    { place: "private", isKept: true },
    { place: "hand" },
    { place: "private", argv: ["--json", "--again"] },
  ]
}

async function play(
  { place, argv = [], env = {}, jobs = dayJobs, isKept }: Play,
  stage: Stage,
  details: Map<string, string>,
): Promise<Output[]> {
  const outputs: Output[] = []
  const all = { ...stage.env, ...(await surroundings(place, stage)), ...env }
  const name = [place === "hand" ? "by hand" : place, ...argv].join(" ")
  for (const job of jobs) {
    const page = recordActions(join(stage.checkout.dir, `summary-${job}.md`))
    const options = { argv, env: all, now: "2026-06-15T04:23:00Z", ...(place !== "hand" && { actions: page }) }
    const { run, stdout, stderr } = await stage.checkout.run(await findJob(process.cwd(), job), options)
    for (const { subject, outcome, detail } of run.findings)
      if (outcome !== "ok" && isKept) details.set(subject, detail)
    const texts = { stdout, stderr, run: JSON.stringify(run), annotations: JSON.stringify(page.annotations) }
    for (const [part, text] of Object.entries(texts)) outputs.push({ where: `${part} of ${job}, ${name}`, text })
  }
  return outputs
}

/** Rows come back from the store, once well and once against a trigger. */
async function restores(stage: Stage, details: Map<string, string>): Promise<Output[]> {
  const jobs = ["restore-archive"]
  const into = (table: string, ...more: string[]) => ["--rule", "messages", "--into", table, ...more]
  const outputs = await play({ place: "hand", argv: into("back", "--dry-run"), jobs }, stage, details)
  outputs.push(...(await play({ place: "hand", argv: into("back"), jobs }, stage, details)))
  await stage.database.query(`create table against (like back including all);
    create function complain_new() returns trigger language plpgsql as $$ begin raise exception 'no: %', new.note using detail = new.email; end $$;
    create trigger complain before insert on against for each row execute function complain_new();
    create table narrow (like back including all); alter table narrow add check (note !~ '@'); grant all on against, narrow to public`)
  outputs.push(...(await play({ place: "private", argv: into("narrow", "--append"), jobs }, stage, details)))
  const argv = into("against", "--append")
  outputs.push(...(await play({ place: "private", argv, jobs, isKept: true }, stage, details)))
  expect(await stage.database.query("select count(*)::int from back")).toEqual([{ count: 4 }])
  expect(await stage.database.query("select count(*)::int from against")).toEqual([{ count: 0 }])
  return outputs
}

async function surroundings(place: Place, { checkout, github }: Stage): Promise<Record<string, string>> {
  if (place === "hand") return { LOG_LEVEL: "debug" }
  const event = JSON.stringify({ repository: { private: place === "private" } })
  return {
    ...{ GITHUB_ACTIONS: "true", CI: "true", GITHUB_EVENT_NAME: "workflow_dispatch", GITHUB_REPOSITORY: "acme/shop" },
    ...{ GITHUB_RUN_ID: "77", GITHUB_SHA: "0123456789abcdef0123456789abcdef01234567", GITHUB_TOKEN: token },
    ...{ GITHUB_API_URL: github.url, RUNNER_DEBUG: "1", INCIDENTS: "" },
    GITHUB_EVENT_PATH: await checkout.write(`event-${place}.json`, event),
  }
}

/** What lies about when all is over. */
async function kept({ checkout, slack, github, env, identity }: Stage): Promise<Output[]> {
  const files = await readdir(checkout.dir, { recursive: true, withFileTypes: true })
  const written = files.filter((entry) => entry.isFile() && !entry.parentPath.includes("bucket"))
  const texts = written.map(async (file) => {
    const where = join(file.parentPath, file.name)
    return { where, text: await readFile(where, "latin1") }
  })
  const stored = await objects(openStore(env.BACKUP_STORE ?? "", { variable: "BACKUP_STORE" }), identity)
  const heard = { slack: slack.received, issues: github.issues("acme/shop"), requests: github.requests }
  return [
    ...(await Promise.all(texts)),
    ...stored,
    { where: "names of objects", text: stored.map(({ where }) => where.replace(", opened", "")).join("\n") },
    ...Object.entries(heard).map(([where, what]) => ({ where, text: JSON.stringify(what) })),
  ]
}

function secretsOf({ env, identity }: Stage): Record<string, string> {
  const last = (url = "") => new URL(url).pathname.split("/").at(-1) ?? ""
  return { ...passwords, identity, slack: last(env.SLACK_WEBHOOK_URL), heartbeat: last(env.HEARTBEAT_URL) }
}

async function withStage(fn: (stage: Stage) => Promise<void>): Promise<void> {
  await using slack = await startSlackServer()
  await using heartbeat = await startHeartbeatServer()
  await using github = await startGitHubServer({ token })
  await using checkout = await makeCheckout(config)
  github.repository("acme/shop")
  const identity = await generateX25519Identity()
  const env = {
    ...{ SLACK_WEBHOOK_URL: slack.url, HEARTBEAT_URL: heartbeat.url, BACKUP_IDENTITY: identity },
    ...{ BACKUP_RECIPIENTS: await identityToRecipient(identity), OPS_NO_CONFIRM: "true" },
    ...{ BACKUP_STORE: directoryUrl(join(checkout.dir, "bucket")), LEDGER: directoryUrl(join(checkout.dir, "ledger")) },
  }
  await withDatabase(sql, (database) =>
    withRole(database, passwords.reading, (reader) =>
      withRole(database, passwords.writing, async (writer) => {
        await prepare(database, reader, writer)
        const urls = {
          DATABASE_URL: database.urlAs(reader, passwords.reading),
          DATABASE_WRITE_URL: database.urlAs(writer, passwords.writing),
        }
        await fn({ checkout, database, slack, github, identity, env: { ...env, ...urls } })
      }),
    ),
  )
}

/** The tables are the writer's, and an index of theirs was left invalid by rows that are the same. */
async function prepare(database: TestDatabase, reader: string, writer: string): Promise<void> {
  await database.query(`grant pg_read_all_data, pg_monitor to ${reader}; grant pg_monitor to ${writer};
    grant create on schema public to ${writer}; grant create on database ${database.name} to ${writer}`)
  for (const table of [...tables, "people", "judged", "twice"])
    await database.query(`alter table ${table} owner to ${writer}`)
  const client = new pg.Client({ connectionString: database.url })
  await client.connect()
  await expect(client.query("create unique index concurrently on twice (note)")).rejects.toThrow("could not create")
  await client.end()
}
