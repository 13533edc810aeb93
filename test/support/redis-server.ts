import { chown, writeFile } from "node:fs/promises"
import { connect } from "node:net"
import { join } from "node:path"
import { text } from "node:stream/consumers"
import { sleep, startTimer } from "../../lib/system/clock.ts"
import { startProgram } from "../../lib/system/program.ts"
import { withTempDir } from "../../lib/system/temp.ts"
import { unprivilegedUser } from "../../lib/system/user.ts"
import { freePort } from "./shared-servers.ts"

const startLimitMs = 10_000

export type RedisServer = {
  port: number
  url: string
  /** Sends one command as plain text, such as `CONFIG SET maxmemory 1mb`, and returns what comes back. */
  send(command: string): Promise<string>
  /** Stops the process where it is, or lets it go on. */
  signal(name: "SIGSTOP" | "SIGCONT"): void
}

/** Runs `fn` with a real Redis on this machine that keeps nothing on disk; `settings` are lines of its configuration. */
export async function withRedis<T>(settings: string[], fn: (redis: RedisServer) => Promise<T>): Promise<T> {
  const user = await unprivilegedUser()
  const port = await freePort()
  return withTempDir("redis", async (dir) => {
    const config = join(dir, "redis.conf")
    const lines = [
      "bind 127.0.0.1",
      `port ${port}`,
      'save ""',
      "appendonly no",
      `dir ${dir}`,
      "daemonize no",
      ...settings,
    ]
    await writeFile(config, `${lines.join("\n")}\n`)
    if (user) for (const path of [dir, config]) await chown(path, user.uid, user.gid)
    const program = startProgram("redis-server", [config], { cwd: "/", stdout: "ignore", user })
    try {
      await untilListening(port, program.stderr)
      const signal = (name: NodeJS.Signals) => void (program.pid && process.kill(program.pid, name))
      return await fn({ port, url: `redis://127.0.0.1:${port}`, send: (command) => send(port, command), signal })
    } finally {
      await program.kill("SIGKILL")
    }
  })
}

async function untilListening(port: number, stderr: () => string): Promise<void> {
  const elapsed = startTimer()
  while (elapsed() < startLimitMs) {
    const answer = await send(port, "PING").catch(() => "")
    if (answer !== "") return
    await sleep(20)
  }
  throw new Error(`redis-server did not start: ${stderr()}`)
}

async function send(port: number, command: string): Promise<string> {
  const socket = connect(port, "127.0.0.1")
  socket.end(`${command}\r\n`)
  return text(socket)
}
