import { createServer } from "node:net"
import { delimiter } from "node:path"
import type { TestProject } from "vitest/node"
import { type RunningCluster, startCluster } from "../../lib/postgres/cluster.ts"
import { withClient } from "../../lib/postgres/connect.ts"
import { newestMajor } from "../../lib/postgres/programs.ts"
import { sweepScratchClusters } from "../../lib/postgres/scratch-cluster.ts"
import { makeTempDir, removeTempDir } from "../../lib/system/temp.ts"
import { provideS3 } from "./s3-server.ts"

/** Where the Postgres server of this test run is. Coordinates only: they cross from the main process to the workers as JSON. */
export type SharedPostgres = {
  major: number
  host: string
  port: number
  socket: string
  user: string
  binDirectories: string[]
}

declare module "vitest" {
  export interface ProvidedContext {
    postgres: SharedPostgres
  }
}

const user = "nightshift_test"
const neededPrograms = ["initdb", "postgres", "pg_dump", "pg_restore", "pg_dumpall", "psql"] as const

/** Members of `scram_users` must say a password; everyone else who reaches the server is let in. */
const hba = `local all +scram_users scram-sha-256
host all +scram_users all scram-sha-256
local all all trust
host all all 127.0.0.1/32 trust
host all all ::1/128 trust
`

const settings = {
  listen_addresses: "127.0.0.1",
  wal_level: "logical",
  max_connections: "200",
  max_locks_per_transaction: "256",
  fsync: "off",
  synchronous_commit: "off",
  full_page_writes: "off",
  shared_buffers: "256MB",
}

/** Starts what all test files share, once for the whole run, and ends it after the last one. */
export default async function setup(project: TestProject): Promise<() => Promise<void>> {
  const log = {
    debug() {},
    info: console.error,
    warn: console.error,
    error: console.error,
    progress: () => ({ at() {}, done() {} }),
  }
  await sweepScratchClusters(log)
  const started = await Promise.allSettled([providePostgres(project), provideS3(project)])
  const stop = async () => {
    await Promise.all(started.map((server) => server.status === "fulfilled" && server.value()))
  }
  const failed = started.find((server) => server.status === "rejected")
  if (!failed) return stop
  await stop()
  throw failed.reason
}

async function providePostgres(project: TestProject): Promise<() => Promise<void>> {
  const binDirectories = (process.env.OPS_PG_BIN ?? "").split(delimiter).filter(Boolean)
  const major = await newestMajor(neededPrograms, { binDirectories })
  const port = await freePort()
  const dir = await makeTempDir("tests")
  let cluster: RunningCluster | undefined
  const stop = async () => {
    await cluster?.stop()
    await removeTempDir(dir)
  }
  try {
    cluster = await startCluster({ major, dir, superuser: user, port, hba, settings, binDirectories })
    const admin = cluster.address("postgres")
    await withClient(admin, { applicationName: "tests" }, (client) => client.query("create role scram_users"))
    project.provide("postgres", { major, host: "127.0.0.1", port, socket: admin.host, user, binDirectories })
    return stop
  } catch (error) {
    await stop()
    throw error
  }
}

/** A TCP port of loopback that nobody uses now. */
export async function freePort(): Promise<number> {
  const server = createServer()
  await new Promise<void>((resolve, reject) => server.once("error", reject).listen(0, "127.0.0.1", resolve))
  const address = server.address()
  await new Promise((resolve) => server.close(resolve))
  if (address === null || typeof address === "string") throw new Error("no TCP port was given")
  return address.port
}
