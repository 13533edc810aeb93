import type { Log } from "../core/log.ts"
import { withClient } from "../postgres/connect.ts"
import { findPrograms } from "../postgres/programs.ts"
import { type ScratchCluster, withScratchCluster } from "../postgres/scratch-cluster.ts"
import type { Identities } from "../seal/seal.ts"
import type { Store } from "../store/store.ts"
import { startTimer } from "../system/clock.ts"
import { withTempDir } from "../system/temp.ts"
import { type Assertion, checkBehaviour } from "./behaviour.ts"
import { compareData, compareStructure } from "./compare.ts"
import { explainDiskFull } from "./disk-full.ts"
import { downloadSet } from "./download.ts"
import { checkIntegrity } from "./integrity.ts"
import { type OpenedSet, openSet } from "./open-set.ts"
import { readRestored } from "./read-restored.ts"
import { overallVerdict, type Receipt, skipped } from "./receipt.ts"
import type { Recorded } from "./recorded.ts"
import { restoreInto } from "./restore-into.ts"
import type { BackupSet } from "./set.ts"

export type RestoreTestOrder = {
  set: BackupSet
  store: Store
  identities: Identities
  /** What the ledger knows of the set's manifest. */
  recorded: Recorded
  assertions: readonly Assertion[]
  packages: readonly string[]
  extraRoles: readonly string[]
  objectives: { rtoMinutes: number; rpoHours: number }
  binDirectories: readonly string[]
  now: Date
  run: string
  log: Log
  signal: AbortSignal
}

/** A test under way: levels and timings fill up as it goes. */
type Progress = {
  levels: Receipt["levels"]
  timingsMs: Receipt["timingsMs"]
  totals?: Receipt["totals"]
  scratch?: { version: string }
}

/**
 * Restores a committed set into a scratch cluster and compares what came back with the set's proof. A set that cannot be restored
 * gives a receipt that says so; the promise rejects only when the test itself could not be done.
 */
export async function testRestore(order: RestoreTestOrder): Promise<Receipt> {
  const elapsed = startTimer()
  const { set, now } = order
  const test: Progress = {
    levels: unreached("the test ended before it"),
    timingsMs: { download: 0, decrypt: 0, restore: 0, verify: 0, recovery: 0, total: 0 },
  }
  await withTempDir("restore", (dir) => runLevels(order, test, dir)).catch((error: unknown) => {
    throw explainDiskFull(error, set.manifest)
  })
  const { timingsMs } = test
  timingsMs.recovery = timingsMs.download + timingsMs.decrypt + timingsMs.restore
  timingsMs.total = elapsed()
  for (const phase of Object.keys(timingsMs))
    Object.assign(timingsMs, { [phase]: Math.round(timingsMs[phase as keyof typeof timingsMs]) })
  return {
    format: "nightshift-receipt/1",
    database: set.database,
    set: set.id,
    manifestSha256: set.manifestSha256,
    testedAt: now.toISOString(),
    run: order.run,
    verdict: overallVerdict(test.levels),
    levels: test.levels,
    ...(test.scratch && { scratch: test.scratch }),
    timingsMs,
    objectives: { ...order.objectives, ageHours: (now.getTime() - Date.parse(set.manifest.snapshotAt)) / 3_600_000 },
    ...(test.totals && { totals: test.totals }),
  }
}

/** The server takes a second to start: it does so while the set is on its way. */
async function runLevels(order: RestoreTestOrder, test: Progress, dir: string): Promise<void> {
  const { set, log, binDirectories } = order
  const lap = startLaps(test.timingsMs)
  const failure = new AbortController()
  const signal = AbortSignal.any([order.signal, failure.signal])
  const opening = fetchSet({ ...order, signal }, test, dir, lap)
  const settled = opening.catch(() => undefined) // thrown where the server waits for it
  try {
    await withScratchCluster({ major: set.manifest.server.major, binDirectories, log, signal }, async (cluster) => {
      const opened = await opening
      if (!opened) return
      const restored = await restoreInto(cluster, { ...order, ...opened, workDir: dir })
      lap("restore")
      test.levels.archive = restored.archive
      test.levels.restore = restored.restore
      if (restored.archive.outcome === "failed") return stop(test.levels, "archive")
      await compareAll(order, test, cluster, { ...opened, ...restored, pgDump: opened.programs.pg_dump })
      lap("verify")
    })
  } catch (error) {
    failure.abort(error)
    throw error
  } finally {
    await settled
  }
}

type FetchedSet = OpenedSet & { programs: Record<"pg_restore" | "pg_dump" | "psql", string> }

/** Downloads a set and opens it. `undefined` when that failed, with the level that says so. */
async function fetchSet(
  order: RestoreTestOrder,
  test: Progress,
  dir: string,
  lap: (phase: keyof Receipt["timingsMs"]) => void,
): Promise<FetchedSet | undefined> {
  const { set, store } = order
  const downloaded = await downloadSet(store, set, dir, order.recorded, order)
  lap("download")
  test.levels.transport = downloaded.level
  if (downloaded.level.outcome === "failed") {
    stop(test.levels, "transport")
    return undefined
  }
  const programs = await findPrograms(set.manifest.server.major, ["pg_restore", "pg_dump", "psql"], order)
  const opened = await openSet(order, downloaded.files, programs.pg_restore)
  lap("decrypt")
  if ("failure" in opened) {
    test.levels.archive = opened.failure
    stop(test.levels, "archive")
    return undefined
  }
  return { ...opened, programs }
}

type Restoration = Pick<OpenedSet, "proof"> & { removed: OpenedSet["entries"]; pgDump: string; database: string }

/** The levels that look at the restored copy. Each is asked even when an earlier one failed: together they tell what is wrong. */
async function compareAll(
  order: RestoreTestOrder,
  test: Progress,
  cluster: ScratchCluster,
  { proof, removed, pgDump, database }: Restoration,
): Promise<void> {
  const { signal, log } = order
  const address = cluster.address(database)
  const amcheck = await findAmcheck(order)
  await withClient(address, { applicationName: "nightshift/restore-test", signal }, async (client) => {
    log.info(`comparing ${proof.tables.length} tables with the proof`)
    const { rows } = await client.query("select current_setting('server_version') as version")
    test.scratch = { version: String(rows[0]?.version) }
    const restored = await readRestored(client, address, pgDump, proof, signal)
    test.levels.structure = compareStructure(proof, restored, removed)
    test.levels.data = compareData(proof, restored, removed)
    test.totals = {
      tables: restored.tables.length,
      rows: Number(restored.tables.reduce((sum, table) => sum + BigInt(table.rows ?? 0), 0n)),
    }
    test.levels.behaviour = await checkBehaviour(client, order.assertions)
    test.levels.integrity = await checkIntegrity(client, address, amcheck, signal)
  })
}

/** pg_amcheck is a program of the server package: a machine may have the client programs alone. */
async function findAmcheck({ set, binDirectories }: RestoreTestOrder): Promise<string | undefined> {
  try {
    return (await findPrograms(set.manifest.server.major, ["pg_amcheck"], { binDirectories })).pg_amcheck
  } catch (error) {
    if (error instanceof Error && error.name === "ConfigError") return undefined
    throw error
  }
}

function unreached(reason: string): Receipt["levels"] {
  const level = () => skipped(reason)
  return {
    transport: level(),
    archive: level(),
    restore: level(),
    structure: level(),
    data: level(),
    integrity: level(),
    behaviour: level(),
  }
}

/** Says of every level that was not reached which one it waited for. */
function stop(levels: Receipt["levels"], failedLevel: keyof Receipt["levels"]): void {
  for (const level of Object.values(levels)) {
    if (level.outcome === "skipped") level.detail = `not reached: ${failedLevel} failed`
  }
}

function startLaps(timingsMs: Receipt["timingsMs"]): (phase: keyof Receipt["timingsMs"]) => void {
  let elapsed = startTimer()
  return (phase) => {
    timingsMs[phase] += elapsed()
    elapsed = startTimer()
  }
}
