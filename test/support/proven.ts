import { join } from "node:path"
import { pathToFileURL } from "node:url"
import type { Manifest } from "../../lib/backup/manifest.ts"
import type { Receipt } from "../../lib/backup/receipt.ts"
import { newestReceiptKey, readReceipt } from "../../lib/backup/receipt-store.ts"
import { type BackupSet, listSetFolders, objectNames, readSet, setKey } from "../../lib/backup/set.ts"
import type { Night, NightRun } from "./night.ts"
import { readObject } from "./sets.ts"

/** A backup, its restore test and what the two left in the store. */
export type Proven = { backup: NightRun; test: NightRun; set: BackupSet; receipt: Receipt }

/** Backs a night's database up and tests the restore. Throws, with all that was logged, when one of the two left nothing behind. */
export async function prove(night: Night, env: Record<string, string> = {}): Promise<Proven> {
  const { backup } = await backUp(night, "2026-03-01T03:17:00Z", env)
  return { backup, ...(await testNewest(night, env)) }
}

/** Makes a set. Throws when none was made. */
export async function backUp(
  night: Night,
  at: string,
  env: Record<string, string> = {},
): Promise<{ backup: NightRun; set: BackupSet }> {
  const backup = await night.run("backup", at, env)
  const set = await newestSet(night)
  if (!set) throw new Error(`no set was made: ${JSON.stringify(backup.run.findings)} ${backup.stderr}`)
  return { backup, set }
}

/** Tests the restore of a night's newest set. */
export async function testNewest(night: Night, env: Record<string, string> = {}): Promise<Omit<Proven, "backup">> {
  const test = await night.run("restore-test", "2026-03-01T05:17:00Z", env)
  const set = await newestSet(night)
  const key = set && newestReceiptKey(set)
  if (!key) throw new Error(`no receipt was made: ${test.run.summary} ${test.stderr}`)
  return { test, set, receipt: await readReceipt(night.store, key) }
}

async function newestSet({ store }: Night): Promise<BackupSet | undefined> {
  const folder = (await listSetFolders(store, "main")).findLast(({ isCommitted }) => isCommitted)
  return folder && readSet(store, folder)
}

/** What each level of a receipt says against a plain pass: its differences, then its exceptions. */
export function troubles({ levels }: Receipt): Record<string, string[]> {
  const bad = Object.entries(levels).filter(([, level]) => level.differences.length + level.exceptions.length > 0)
  return Object.fromEntries(bad.map(([name, { differences, exceptions }]) => [name, [...differences, ...exceptions]]))
}

/**
 * Turns a set into a forgery that only a comparison finds: its own dump under the proof of another, with a manifest to match. Its tests
 * need a ledger that knows of no set: `strangeLedger`.
 */
export async function forge(night: Night, dumpOf: BackupSet, proofOf: BackupSet): Promise<void> {
  const { proof } = proofOf.manifest.objects
  const bytes = await readObject(night.store, setKey("main", proofOf.id, proof.name))
  await night.store.put(setKey("main", dumpOf.id, proof.name), bytes, { contentType: "application/octet-stream" })
  await changeManifest(night, dumpOf, (manifest) => {
    manifest.objects.proof = proof
    manifest.totals = proofOf.manifest.totals
  })
}

/** Rewrites the manifest of a set. */
export async function changeManifest(
  night: Night,
  set: BackupSet,
  change: (manifest: Manifest) => void,
): Promise<void> {
  const manifest = structuredClone(set.manifest)
  change(manifest)
  const bytes = new TextEncoder().encode(JSON.stringify(manifest))
  await night.store.put(setKey("main", set.id, objectNames.manifest), bytes, { contentType: "application/json" })
}

/** A ledger that has no record of anything. */
export function strangeLedger(night: Night): { LEDGER: string } {
  return { LEDGER: pathToFileURL(join(night.root, "strange-ledger")).href }
}
