/**
 * Archives rows in a process that may be killed: `node --import tsx test/support/archive-process.ts`, settings in the environment. With
 * `KILL_AT=n` it kills itself with SIGKILL at its n-th boundary: before each statement and each request to the store (so behind
 * the one before), and as soon as it was sent. Prints at its end how many there were, and the most memory that it had.
 */
import type { Client } from "pg"
import { parsePostgresUrl } from "../../lib/postgres/address.ts"
import { withExclusiveSession } from "../../lib/postgres/exclusive.ts"
import { ensureOpsTables } from "../../lib/postgres/ops-schema.ts"
import { archiveRows } from "../../lib/retention/archive.ts"
import { resumeArchives } from "../../lib/retention/archive-finish.ts"
import { parseRecipients } from "../../lib/seal/recipients.ts"
import { openStore } from "../../lib/store/open.ts"
import type { Store } from "../../lib/store/store.ts"
import { applyContext, planOf, recordingLog } from "./cleanup-plan.ts"

const { DATABASE_URL = "", BACKUP_STORE = "", BACKUP_RECIPIENTS = "", KILL_AT = "0", RUN = "run" } = process.env
let boundaries = 0
let isArmed = false

function boundary(): void {
  if (isArmed && ++boundaries === Number(KILL_AT)) process.kill(process.pid, "SIGKILL")
}

async function guarded<T>(call: () => Promise<T>): Promise<T> {
  boundary()
  const answer = call()
  boundary()
  return answer
}

function watchedStore(store: Store): Store {
  return {
    ...store,
    put: (...args) => guarded(() => store.put(...args)),
    get: (...args) => guarded(() => store.get(...args)),
    head: (...args) => guarded(() => store.head(...args)),
    list: (...args) => guarded(() => store.list(...args)),
  }
}

function watch(client: Client): void {
  const query = client.query.bind(client) as (...args: unknown[]) => unknown
  const watched = (...args: unknown[]) => {
    if (typeof args[0] === "string") return guarded(async () => query(...args))
    boundary()
    return query(...args)
  }
  Object.assign(client, { query: watched })
}

const address = parsePostgresUrl(DATABASE_URL, "DATABASE_URL")
const log = recordingLog()
const signal = new AbortController().signal
await withExclusiveSession(
  { database: "main", address, job: "cleanup", lockWaitMs: 60_000, log, signal },
  async (client) => {
    await ensureOpsTables(client, ["archive_part"])
    const where = "t.sent_at < '2026-01-01Z'"
    const plan = await planOf(client, { table: "messages", where, order: ["sent_at", "id"] })
    const store = watchedStore(openStore(BACKUP_STORE, { variable: "BACKUP_STORE" }))
    const recipients = parseRecipients(BACKUP_RECIPIENTS, "BACKUP_RECIPIENTS")
    const context = { ...applyContext(client, { log }), store, recipients, database: "main", run: RUN }
    watch(client)
    isArmed = true
    const resumed = await resumeArchives(context)
    const { failure, removed, left } = await archiveRows({ ...plan, rule: "messages", action: "archive" }, context)
    isArmed = false
    if (failure !== undefined || resumed.problems.length > 0) throw new Error([failure, ...resumed.problems].join("; "))
    process.stdout.write(
      `removed ${removed}, left ${left}, boundaries: ${boundaries}, memory: ${process.resourceUsage().maxRSS} kB\n`,
    )
  },
)
