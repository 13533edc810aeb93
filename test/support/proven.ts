import type { Receipt } from "../../lib/backup/receipt.ts"
import { newestReceiptKey, readReceipt } from "../../lib/backup/receipt-store.ts"
import { type BackupSet, listSetFolders, readSet } from "../../lib/backup/set.ts"
import type { Night, NightRun } from "./night.ts"

/** A backup, its restore test and what the two left in the store. */
export type Proven = { backup: NightRun; test: NightRun; set: BackupSet; receipt: Receipt }

/** Backs a night's database up and tests the restore. Throws, with all that was logged, when one of the two left nothing behind. */
export async function prove(night: Night, env: Record<string, string> = {}): Promise<Proven> {
  const backup = await night.run("backup", "2026-03-01T03:17:00Z", env)
  return { backup, ...(await testRestore(night, backup)) }
}

/** Tests the restore of a night's newest set. */
export async function testRestore(night: Night, backup?: NightRun): Promise<Omit<Proven, "backup">> {
  const committed = (await listSetFolders(night.store, "main")).findLast((folder) => folder.isCommitted)
  if (!committed) throw new Error(`no set was made: ${JSON.stringify(backup?.run.findings)} ${backup?.stderr}`)
  const test = await night.run("restore-test", "2026-03-01T04:17:00Z")
  const folder = (await listSetFolders(night.store, "main")).find(({ id }) => id === committed.id)
  const key = folder && newestReceiptKey(folder)
  if (!key) throw new Error(`no receipt was made: ${test.stderr}`)
  return { test, set: await readSet(night.store, committed), receipt: await readReceipt(night.store, key) }
}

/** Levels of a receipt that did not simply pass, with what they say. */
export function troubles({ levels }: Receipt): Record<string, string[]> {
  const bad = Object.entries(levels).filter(([, level]) => level.differences.length + level.exceptions.length > 0)
  return Object.fromEntries(bad.map(([name, { differences, exceptions }]) => [name, [...differences, ...exceptions]]))
}
