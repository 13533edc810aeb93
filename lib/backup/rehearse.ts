import type { Finding } from "../core/finding.ts"
import { formatBytes, formatCounted } from "../core/size.ts"
import { listTables } from "../postgres/catalogue.ts"
import { withClient } from "../postgres/connect.ts"
import { refuseUnsuitableAddress } from "../postgres/pooler.ts"
import type { BackupOrder } from "./backup-order.ts"
import { preflight, probeStore } from "./preflight.ts"
import { setId, setKey } from "./set.ts"
import { tooLargeForTime } from "./time-limit.ts"

/** Checks all that a backup needs, against the real database and the real store, and says what it would store where. Writes no set. */
export async function rehearseBackup(order: BackupOrder): Promise<Finding> {
  const { database, address, store, settings, recipients, now, signal } = order
  const connection = { applicationName: "nightshift/backup", signal }
  await refuseUnsuitableAddress(address, connection)
  return withClient(address, connection, async (client) => {
    const checked = await preflight(client, order)
    const tooLarge = tooLargeForTime(checked.databaseBytes, checked.previous, settings.jobMinutes)
    if (tooLarge) throw new Error(tooLarge)
    const tables = await listTables(client, settings.excluded)
    const rights = await probeStore(store, database, signal)
    const parts = [
      `dry run: would dump ${formatCounted(tables.length, "table")} (${formatBytes(checked.databaseBytes)} on a server of ${checked.server.version})`,
      `with ${checked.programs.pg_dump}`,
      `sealed for ${formatCounted(recipients.fingerprints.length, "key")} to ${setKey(database, setId(now), "")} in ${store.name}`,
      `proof: ${settings.proof}; the store lets this key ${rights}`,
      ...checked.warnings,
    ]
    const outcome = checked.warnings.length > 0 ? "warn" : "ok"
    return { subject: `database/${database}/backup`, outcome, detail: parts.join("; "), runbook: "backup" }
  })
}
