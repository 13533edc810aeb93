import { chown, writeFile } from "node:fs/promises"
import { connect } from "node:net"
import { join } from "node:path"
import { inject } from "vitest"
import { sleep, startTimer } from "../../lib/system/clock.ts"
import { startProgram } from "../../lib/system/program.ts"
import { withTempDir } from "../../lib/system/temp.ts"
import { unprivilegedUser } from "../../lib/system/user.ts"
import { freePort } from "./shared-servers.ts"

const startLimitMs = 10_000

/** Runs `fn` with the port of a real pgbouncer in front of the shared server. */
export async function withPgbouncer<T>(
  mode: "session" | "transaction" | "statement",
  fn: (port: number) => Promise<T>,
): Promise<T> {
  const postgres = inject("postgres")
  const user = await unprivilegedUser()
  const port = await freePort()
  return withTempDir("pgbouncer", async (dir) => {
    const config = join(dir, "pgbouncer.ini")
    await writeFile(
      config,
      `[databases]
* = host=${postgres.host} port=${postgres.port} user=${postgres.user}
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = ${port}
unix_socket_dir =
auth_type = any
pool_mode = ${mode}
default_pool_size = 5
`,
    )
    if (user) for (const path of [dir, config]) await chown(path, user.uid, user.gid)
    const program = startProgram("/usr/sbin/pgbouncer", [config], { cwd: "/", stdout: "ignore", user })
    try {
      await untilListening(port, program.stderr)
      return await fn(port)
    } finally {
      await program.kill("SIGKILL")
    }
  })
}

async function untilListening(port: number, stderr: () => string): Promise<void> {
  const elapsed = startTimer()
  while (elapsed() < startLimitMs) {
    if (await listens(port)) return
    await sleep(20)
  }
  throw new Error(`pgbouncer did not start: ${stderr()}`)
}

function listens(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(port, "127.0.0.1")
    socket.once("connect", () => resolve(true)).once("error", () => resolve(false))
    socket.once("connect", () => socket.destroy())
  })
}
