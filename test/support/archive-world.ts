import { rm } from "node:fs/promises"
import { join } from "node:path"
import { Readable } from "node:stream"
import { buffer } from "node:stream/consumers"
import { pathToFileURL } from "node:url"
import { generateX25519Identity, identityToRecipient } from "age-encryption"
import type { Client } from "pg"
import { onTestFinished } from "vitest"
import { withClient } from "../../lib/postgres/connect.ts"
import { ensureOpsTables } from "../../lib/postgres/ops-schema.ts"
import { type ArchiveContext, type Archived, archiveRows } from "../../lib/retention/archive.ts"
import { type Resumed, resumeArchives } from "../../lib/retention/archive-finish.ts"
import {
  type ArchiveManifest,
  type ArchiveReceipt,
  parseArchiveManifest,
  parseArchiveReceipt,
} from "../../lib/retention/archive-manifest.ts"
import type { CleanupPlan } from "../../lib/retention/contract.ts"
import { parseRecipients, type Recipients } from "../../lib/seal/recipients.ts"
import { unsealStream } from "../../lib/seal/seal.ts"
import { openStore } from "../../lib/store/open.ts"
import type { Store } from "../../lib/store/store.ts"
import { makeTempDir } from "../../lib/system/temp.ts"
import { applyContext, planOf, type RowsOf, recordingLog } from "./cleanup-plan.ts"
import { createDatabase, type TestDatabase } from "./postgres.ts"

export type ArchiveWorld = {
  database: TestDatabase
  store: Store
  storeUrl: string
  dir: string
  identity: string
  recipients: Recipients
  log: ReturnType<typeof recordingLog>
  /** Finishes what is unfinished, plans, and archives, in one session. */
  archive(rows: Partial<RowsOf>, more?: ArchiveMore): Promise<Archived & { resumed: Resumed }>
  /** All parts on the store, each opened with the team's key. */
  parts(): Promise<StoredPart[]>
}

export type ArchiveMore = Partial<ArchiveContext> & {
  plan?: Partial<CleanupPlan>
  /** Called with the session, between the plan and its apply. */
  before?: (client: Client) => Promise<void>
}

export type StoredPart = {
  folder: string
  name: string
  manifest?: ArchiveManifest
  receipt?: ArchiveReceipt
  isAbandoned: boolean
  csv: string
}

/** A database with `sql` in it, an empty directory as store, and fresh keys. */
export async function archiveWorld(sql: string): Promise<ArchiveWorld> {
  const database = await createDatabase(sql)
  const dir = await makeTempDir("archive")
  onTestFinished(async () => {
    await database.drop()
    await rm(dir, { recursive: true, force: true })
  })
  const identity = await generateX25519Identity()
  const storeUrl = pathToFileURL(join(dir, "bucket")).href
  const store = openStore(storeUrl, { variable: "BACKUP_STORE" })
  const recipients = parseRecipients(await identityToRecipient(identity), "BACKUP_RECIPIENTS")
  const log = recordingLog()
  const world: ArchiveWorld = {
    ...{ database, store, storeUrl, dir, identity, recipients, log },
    archive: (rows, { plan: planned, before, ...more } = {}) =>
      withClient(database.address, { applicationName: "tests" }, async (client) => {
        await ensureOpsTables(client, ["archive_part"])
        const context = { ...applyContext(client, { log }), store: world.store, recipients, database: "main", ...more }
        const resumed = await resumeArchives(context)
        const selection = { table: "messages", where: "t.sent_at < '2026-01-01Z'", order: ["sent_at", "id"], ...rows }
        const plan = { ...(await planOf(client, selection)), rule: "messages", action: "archive" as const, ...planned }
        await before?.(client)
        return { resumed, ...(await archiveRows(plan, context)) }
      }),
    parts: () => storedParts(world.store, identity),
  }
  return world
}

export async function storedParts(store: Store, identity: string): Promise<StoredPart[]> {
  const keys = (await store.list("archives/")).map(({ key }) => key)
  const stems = [
    ...new Set(keys.map((key) => key.replace(/\.(csv\.zst\.age|receipt\.json|abandoned\.json|json)$/, ""))),
  ]
  const read = async (key: string) => (keys.includes(key) ? buffer(await store.get(key)) : undefined)
  return Promise.all(
    stems.map(async (stem) => {
      const [sealed, manifest, receipt] = await Promise.all(
        [".csv.zst.age", ".json", ".receipt.json"].map((ending) => read(stem + ending)),
      )
      const csv = sealed && (await buffer(unsealStream(Readable.from([sealed]), { keys: [identity] }).plain))
      return {
        folder: stem.slice(0, stem.lastIndexOf("/")),
        name: stem.slice(stem.lastIndexOf("/") + 1),
        ...(manifest && { manifest: parseArchiveManifest(manifest, stem) }),
        ...(receipt && { receipt: parseArchiveReceipt(receipt, stem) }),
        isAbandoned: keys.includes(`${stem}.abandoned.json`),
        csv: csv?.toString() ?? "",
      }
    }),
  )
}

/** Ids of the rows that left the table by the parts' own account; the first column of each file is taken for the id. */
export function archivedIds(parts: readonly StoredPart[]): number[] {
  return parts.flatMap(({ csv, receipt }) => {
    if (!receipt) return []
    const ids = csv
      .trimEnd()
      .split("\n")
      .slice(1)
      .map((line) => Number(line.split(",")[0]))
    return ids.filter((_, index) => !receipt.rowsKept.includes(index + 1))
  })
}
