import type { Log } from "../core/log.ts"
import type { PostgresAddress } from "../postgres/address.ts"
import type { Recipients } from "../seal/recipients.ts"
import type { Store } from "../store/store.ts"
import type { Excluded } from "./proof.ts"

/** What the configuration says about the backup of one database. */
export type BackupSettings = {
  proof: "full" | "counts"
  proofLimitMs: number
  shrinkPercent: number
  excluded: Excluded
  compressionLevel: number
  jobMinutes: number
}

/** One backup to make. */
export type BackupOrder = {
  database: string
  address: PostgresAddress
  store: Store
  recipients: Recipients
  settings: BackupSettings
  /** The resolved configuration; it names secrets and holds none. */
  configuration: unknown
  binDirectories: readonly string[]
  lockWaitMs: number
  now: Date
  slot: Date
  run: { id: string; commit: string | undefined }
  log: Log
  signal: AbortSignal
}
