import { connect as connectSocket, createServer, type Server, type Socket } from "node:net"
import type pg from "pg"
import { describe, expect, it } from "vitest"
import { errorText } from "../../../lib/core/error-text.ts"
import { parsePostgresUrl } from "../../../lib/postgres/address.ts"
import { withClient } from "../../../lib/postgres/connect.ts"
import { sleep, startTimer } from "../../../lib/system/clock.ts"
import { databaseUrl, withDatabase, withRole } from "../../support/postgres.ts"
import { freePort } from "../../support/shared-servers.ts"

const applicationName = "nightshift/test-connect"
const address = (url: string) => parsePostgresUrl(url, "DATABASE_URL")
const use = <T>(url: string, fn: (client: pg.Client) => Promise<T>, signal?: AbortSignal) =>
  withClient(address(url), { applicationName, signal }, fn)
const hello = (url: string, signal?: AbortSignal) => use(url, (client) => client.query("select 1"), signal)
const failure = (promise: Promise<unknown>) => promise.then(() => "none", errorText)

async function withServer<T>(server: Server, fn: (port: number) => Promise<T>): Promise<T> {
  const port = await freePort()
  const sockets = new Set<Socket>()
  server.on("connection", (socket) => sockets.add(socket))
  await new Promise<void>((resolve) => server.listen(port, "127.0.0.1", resolve))
  try {
    return await fn(port)
  } finally {
    for (const socket of sockets) socket.destroy()
    await new Promise((resolve) => server.close(resolve))
  }
}

describe("a connection that cannot be made says what to do", () => {
  it("wrong, missing and right password", async () => {
    await withDatabase("", async (database) => {
      await withRole(database, "right", async (role) => {
        const wrong = await failure(hello(database.urlAs(role, "wr0ng")))
        expect(wrong).toContain(
          `wrong password for user ${role}: correct it in DATABASE_URL: password authentication failed`,
        )
        expect(wrong).not.toContain("wr0ng")
        const missing = await failure(hello(database.urlAs(role)))
        expect(missing).toContain(`the server asks for the password of ${role}: add it to DATABASE_URL`)
        expect(await failure(hello(database.urlAs(role, "right")))).toBe("none")
      })
    })
  })

  it("no such database", async () => {
    const text = await failure(hello(databaseUrl("Shop")))
    expect(text).toMatch(
      /^cannot connect to Shop on 127\.0\.0\.1:\d+ as nightshift_test: there is no database Shop \(upper and/,
    )
  })

  it("no such user", async () => {
    const url = databaseUrl("postgres").replace("nightshift_test@", "nobody_here@")
    expect(await failure(hello(url))).toContain("there is no user nobody_here: correct it in DATABASE_URL")
  })

  it("nobody listens", async () => {
    const port = await freePort()
    expect(await failure(hello(`postgres://u@127.0.0.1:${port}/d`))).toContain(
      `nothing listens on port ${port} of 127.0.0.1`,
    )
    expect(await failure(hello("postgres://u@%2Fnonexistent/d"))).toContain(
      "there is no socket for port 5432 in /nonexistent",
    )
  })

  it("no such host", async () => {
    expect(await failure(hello("postgres://u@db.invalid/d"))).toMatch(
      /the host db.invalid is unknown|cannot be looked up now/,
    )
  })

  it("no TLS where the URL asks for it", async () => {
    const text = await failure(hello(`${databaseUrl("postgres")}?sslmode=require`))
    expect(text).toContain(
      "the server offers no TLS: add sslmode=disable to DATABASE_URL if the network between is private",
    )
  })

  it("no answer within the time limit", async () => {
    const silent = createServer((socket) => socket.on("error", () => undefined))
    await withServer(silent, async (port) => {
      const elapsed = startTimer()
      const text = await failure(hello(`postgres://u@127.0.0.1:${port}/d?connect_timeout=1`))
      expect(text).toContain("no answer within 1 s: see whether the database is paused")
      expect(elapsed()).toBeLessThan(2500)
    })
  })

  it("something else answers", async () => {
    const rude = createServer((socket) => socket.on("error", () => undefined).destroy())
    await withServer(rude, async (port) => {
      expect(await failure(hello(`postgres://u@127.0.0.1:${port}/d`))).toContain("the other side hung up")
    })
  })

  it("no connection left", async () => {
    await withDatabase("", async (database) => {
      await database.query(`alter database ${database.name} connection limit 0`)
      await withRole(database, "pw", async (role) => {
        const text = await failure(hello(database.urlAs(role, "pw")))
        expect(text).toContain("the server has no connection left")
      })
    })
  })
})

describe("a connection that is lost", () => {
  it("fails the running statement and says which connection it was", async () => {
    await withDatabase("", async (database) => {
      const killing = use(database.url, async (client) => {
        const pid = (await client.query("select pg_backend_pid() as pid")).rows[0].pid
        setTimeout(() => void database.query("select pg_terminate_backend($1)", [pid]), 50)
        await client.query("select pg_sleep(30)")
      })
      const text = await failure(killing)
      expect(text).toMatch(
        /^the connection to test_\w+ on 127.0.0.1:\d+ as nightshift_test was lost: terminating connection/,
      )
    })
  })

  it("while nothing ran fails the next statement, and nothing else", async () => {
    await withDatabase("", async (database) => {
      const killing = use(database.url, async (client) => {
        const pid = (await client.query("select pg_backend_pid() as pid")).rows[0].pid
        await database.query("select pg_terminate_backend($1)", [pid])
        await sleep(50)
        await client.query("select 1")
      })
      expect(await failure(killing)).toMatch(/^the connection to test_\w+ .* was lost: /)
    })
  })

  it("without a word, in the middle of a statement", async () => {
    await withDatabase("", async (database) => {
      const { port } = database.address
      const proxy = createServer((near) => {
        const far = connectSocket(port, "127.0.0.1")
        near.pipe(far).pipe(near)
        for (const socket of [near, far]) socket.on("error", () => undefined)
        setTimeout(() => far.destroy().emit("close"), 300)
        far.once("close", () => near.resetAndDestroy())
      })
      await withServer(proxy, async (proxyPort) => {
        const url = database.url.replace(`:${port}/`, `:${proxyPort}/`)
        const text = await failure(use(url, (client) => client.query("select pg_sleep(30)")))
        expect(text).toContain("was lost")
      })
    })
  })

  it("leaves errors of statements as they are", async () => {
    await withDatabase("", async (database) => {
      const failing = use(database.url, (client) => client.query("select 1/0"))
      await expect(failing).rejects.toMatchObject({ message: "division by zero", code: "22012" })
    })
  })
})

describe("a signal that fires", () => {
  const sessions = (database: { query(sql: string, values?: unknown[]): Promise<unknown[]> }) =>
    database.query("select pid from pg_stat_activity where application_name = $1 and datname = current_database()", [
      applicationName,
    ])

  it("ends the running statement on the server at once, and is what is told", async () => {
    await withDatabase("", async (database) => {
      const abort = new AbortController()
      const reason = new Error("the run was cancelled")
      const running = use(database.url, (client) => client.query("begin; select pg_sleep(30)"), abort.signal)
      const outcome = running.catch((error: unknown) => error)
      while ((await sessions(database)).length === 0) await sleep(20)
      const elapsed = startTimer()
      abort.abort(reason)
      expect(await outcome).toBe(reason)
      expect(elapsed()).toBeLessThan(1500)
      while ((await sessions(database)).length > 0) await sleep(20)
      expect(elapsed()).toBeLessThan(2000)
    })
  })

  it("while connecting ends that", async () => {
    const silent = createServer((socket) => socket.on("error", () => undefined))
    await withServer(silent, async (port) => {
      const reason = new Error("the run was cancelled")
      const elapsed = startTimer()
      await expect(hello(`postgres://u@127.0.0.1:${port}/d`, abortAfter(50, reason))).rejects.toBe(reason)
      expect(elapsed()).toBeLessThan(1000)
    })
  })

  it("before it began connects to nothing", async () => {
    const reason = new Error("too late")
    await expect(hello("postgres://u@127.0.0.1:1/d", AbortSignal.abort(reason))).rejects.toBe(reason)
  })
})

function abortAfter(ms: number, reason: Error): AbortSignal {
  const abort = new AbortController()
  setTimeout(() => abort.abort(reason), ms)
  return abort.signal
}

it("a session has the run's name, a limit for statements where asked, and takes nothing from the environment", async () => {
  process.env.PGPASSWORD = "from the environment"
  process.env.PGSSLMODE = "require"
  try {
    const row = await withClient(
      address(databaseUrl("postgres")),
      { applicationName: "nightshift/backup", statementTimeoutMs: 1234 },
      async (client) =>
        (
          await client.query(
            "select current_setting('application_name') as name, current_setting('statement_timeout') as limit",
          )
        ).rows[0],
    )
    expect(row).toEqual({ name: "nightshift/backup", limit: "1234ms" })
  } finally {
    delete process.env.PGPASSWORD
    delete process.env.PGSSLMODE
  }
})
