import { chmod, chown, mkdir, open } from "node:fs/promises"
import { join } from "node:path"
import { inject } from "vitest"
import { type PostgresAddress, parsePostgresUrl } from "../../lib/postgres/address.ts"
import { withClient } from "../../lib/postgres/connect.ts"
import { findPrograms } from "../../lib/postgres/programs.ts"
import { runProgram, startProgram } from "../../lib/system/program.ts"
import { withTempDir } from "../../lib/system/temp.ts"
import { unprivilegedUser } from "../../lib/system/user.ts"
import { until } from "./processes.ts"

export type Checksummed = {
  address: PostgresAddress
  query(sql: string): Promise<Record<string, unknown>[]>
  /** Overwrites bytes of a page of a table on the disk while the server is down, and starts it again. */
  damage(table: string, page: number): Promise<void>
}

const superuser = "nightshift_test"
const pageBytes = 8192
const settings = {
  listen_addresses: "",
  fsync: "off",
  shared_buffers: "16MB",
  max_connections: "10",
  autovacuum: "off",
}

/** Runs `fn` with a server of its own that keeps data checksums. It is stopped and removed after. */
export async function withChecksums<T>(fn: (server: Checksummed) => Promise<T>): Promise<T> {
  const { major, binDirectories } = inject("postgres")
  const programs = await findPrograms(major, ["initdb", "postgres"], { binDirectories })
  return withTempDir("checksums", async (dir) => {
    const user = await unprivilegedUser()
    if (user) await chmod(dir, 0o711)
    const [data, socket] = [join(dir, "data"), join(dir, "socket")]
    for (const folder of [data, socket]) {
      await mkdir(folder, { mode: 0o700 })
      if (user) await chown(folder, user.uid, user.gid)
    }
    const common = { cwd: dir, user }
    const initArgs = ["-D", data, "-U", superuser, "-A", "trust", "--locale=C", "--no-sync", "--data-checksums"]
    await runProgram(programs.initdb, initArgs, { ...common, timeoutMs: 60_000 })

    const address = {
      ...parsePostgresUrl(`postgres://${superuser}@localhost/postgres`, "the checksummed server"),
      host: socket,
    }
    const query: Checksummed["query"] = (sql) =>
      withClient(address, { applicationName: "tests" }, async (client) => {
        const results = [await client.query(sql)].flat()
        return results.at(-1)?.rows ?? []
      })
    const start = async () => {
      const args = Object.entries({ ...settings, unix_socket_directories: socket }).flatMap(([name, value]) => [
        "-c",
        `${name}=${value}`,
      ])
      const server = startProgram(programs.postgres, ["-D", data, ...args], { ...common, stdout: "ignore" })
      server.exited.catch(() => undefined) // its end is part of every test
      await until("the server answers", () =>
        query("select 1").then(
          () => true,
          () => false,
        ),
      )
      return server
    }

    let server = await start()
    try {
      return await fn({
        address,
        query,
        async damage(table, page) {
          const [place] = await query(`checkpoint; select pg_relation_filepath('${table}') as path`)
          await server.kill("SIGINT", 10_000)
          const file = await open(join(data, String(place?.path)), "r+")
          await file.write("damaged", page * pageBytes + pageBytes / 2)
          await file.close()
          server = await start()
        },
      })
    } finally {
      await server.kill("SIGQUIT", 5000)
    }
  })
}
