import { describe, expect, it } from "vitest"
import { parsePostgresUrl } from "../../../lib/postgres/address.ts"
import { checkPostgres } from "../../../lib/service/postgres-check.ts"
import type { PostgresProbe } from "../../../lib/service/service.ts"
import { sleep, startTimer } from "../../../lib/system/clock.ts"
import { administer, databaseUrl, withDatabase, withRole } from "../../support/postgres.ts"
import { freePort } from "../../support/shared-servers.ts"
import { around, untilClosed, verdict, withTcpServer } from "./around.ts"

type Queries = Partial<NonNullable<PostgresProbe["queries"]>>

function probe(url: string, queries?: Queries): PostgresProbe {
  const address = parsePostgresUrl(url, "DATABASE_URL")
  return { kind: "postgres", address, ...(queries && { queries: { degradedMs: 2000, failMs: 5000, ...queries } }) }
}

const look = (url: string, queries?: Queries, timeoutMs = 5000) =>
  checkPostgres(probe(url, queries), around({ timeoutMs }))

/** Rejects when a session of ours goes on for longer than 2 s more. */
async function untilNoSession(): Promise<void> {
  const elapsed = startTimer()
  const sql = "select query from pg_stat_activity where application_name = 'nightshift/health'"
  for (let rows = await administer(sql); rows.length > 0; rows = await administer(sql)) {
    if (elapsed() > 2000) throw new Error(`still there: ${JSON.stringify(rows)}`)
    await sleep(20)
  }
}

describe("a Postgres that cannot be reached", () => {
  it("is refused where nothing listens", async () => {
    const result = await look(`postgres://u:hunter22@127.0.0.1:${await freePort()}/shop`)
    expect(verdict(result)).toBe("fail refused")
    expect(result.failure?.phase).toBe("connect")
    expect(result.detail).toMatch(/^cannot connect to shop on 127\.0\.0\.1:\d+ as u: nothing listens on port/)
    expect(JSON.stringify(result)).not.toContain("hunter22")
  })

  it("has a name that is unknown", async () => {
    const result = await look("postgres://u@db.invalid/shop?sslmode=disable")
    expect(verdict(result)).toBe("fail dns")
    expect(result.failure?.phase).toBe("dns")
  })

  it("offers no TLS where the URL wants it", async () => {
    expect(verdict(await look(`${databaseUrl("postgres")}?sslmode=require`))).toBe("fail tls")
  })

  it("hangs up", async () => {
    await withTcpServer(
      (socket) => socket.once("data", () => socket.resetAndDestroy()),
      async (port) => expect(verdict(await look(`postgres://u@127.0.0.1:${port}/shop`))).toBe("fail reset"),
    )
  })

  it("is silent for longer than it may", async () => {
    await withTcpServer(
      () => undefined,
      async (port, openSockets) => {
        const elapsed = startTimer()
        expect(verdict(await look(`postgres://u@127.0.0.1:${port}/shop`, undefined, 400))).toBe("fail timeout")
        expect(elapsed()).toBeLessThan(3000)
        await untilClosed(openSockets)
      },
    )
  })

  it("is unknown, and not down, when our own authority cannot be read", async () => {
    const result = await look("postgres://u@db.example.com/shop?sslmode=verify-full&sslrootcert=/nowhere/ca.pem")
    expect(verdict(result)).toBe("unknown")
    expect(result.detail).toContain("the CA file /nowhere/ca.pem cannot be read")
  })

  it("ends with the signal's reason when the run ends", async () => {
    const run = new AbortController()
    const result = checkPostgres(
      probe(databaseUrl("postgres"), { heavy: "select pg_sleep(30)" }),
      around({ signal: run.signal }),
    )
    setTimeout(() => run.abort(new Error("the run ends")), 300)
    await expect(result).rejects.toThrow("the run ends")
    await untilNoSession()
  })
})

describe("a Postgres that lets nobody in", () => {
  it("does not know the password, the user or the database", async () => {
    await withDatabase("", async (database) => {
      await withRole(database, "right", async (role) => {
        const wrong = await look(database.urlAs(role, "hunter22"))
        expect(verdict(wrong)).toBe("fail auth")
        expect(wrong.detail).toContain(`wrong password for user ${role}`)
        expect(JSON.stringify(wrong)).not.toContain("hunter22")
        expect(verdict(await look(database.urlAs(role)))).toBe("fail auth")
        expect((await look(database.urlAs(role, "right"))).outcome).toBe("ok")
      })
      expect(verdict(await look(database.urlAs("nobody_here")))).toBe("fail auth")
      const gone = await look(`${database.url}_gone`)
      expect(verdict(gone)).toBe("fail query")
      expect(gone.detail).toContain("there is no database")
    })
  })

  it("has no connection left for this user", async () => {
    await withDatabase("", async (database) => {
      await withRole(database, "right", async (role) => {
        await administer(`alter role ${role} connection limit 0`)
        const result = await look(database.urlAs(role, "right"))
        expect(verdict(result)).toBe("fail refused")
        expect(result.detail).toContain("the server has no connection left")
      })
    })
  })

  it.each([
    ["57P03", "the database system is starting up", "refused"],
    ["XX000", "Your project has exceeded the compute time quota. Upgrade your plan to increase limits.", "over-quota"],
    ["XX000", "The endpoint has been disabled. Enable it using the API and retry.", "paused"],
    ["XX000", "Tenant or user not found", "auth"],
  ])("answers %s: %s", async (code, message, expected) => {
    await withTcpServer(
      (socket) => socket.once("data", () => socket.end(errorResponse(code, message))),
      async (port) => {
        const result = await look(`postgres://u@127.0.0.1:${port}/shop`)
        expect(verdict(result)).toBe(`fail ${expected}`)
        expect(result.detail).toContain(message)
      },
    )
  })
})

describe("a query that goes wrong", () => {
  const tables = "create table notes (body text)"

  it("returns no row where one must be", async () => {
    await withDatabase(tables, async ({ url }) => {
      const result = await look(url, { read: "select body from notes" })
      expect(verdict(result)).toBe("fail query")
      expect(result.detail).toMatch(/: the read query returned no row$/)
    })
  })

  it("names the query, what the server said, and what to do", async () => {
    const url = databaseUrl("postgres")
    const result = await look(url, { heavy: "select count(*) from orders" })
    expect(verdict(result)).toBe("fail query")
    expect(result.detail).toMatch(
      /the heavy query failed: relation "orders" does not exist: see whether the table was moved/,
    )
    expect(result.numbers).toHaveProperty(["ping.ms"])
  })

  it("may not be run by this user", async () => {
    await withDatabase(tables, async (database) => {
      await withRole(database, "right", async (role) => {
        const result = await look(database.urlAs(role, "right"), { read: "select body from notes" })
        expect(verdict(result)).toBe("fail auth")
        expect(result.detail).toContain("permission denied for table notes")
      })
    })
  })

  it("writes where nothing may be written", async () => {
    await withDatabase(tables, async (database) => {
      await administer(`alter database ${database.name} set default_transaction_read_only = on`)
      const result = await look(database.url, { write: "insert into notes values ('probe')" })
      expect(verdict(result)).toBe("fail query")
      expect(result.detail).toContain("it takes no writes: it is a standby, or its host made it read-only")
    })
  })

  it("cannot end the transaction that is rolled back with a second statement", async () => {
    await withDatabase(tables, async ({ url, query }) => {
      const result = await look(url, { write: "insert into notes values ('probe'); commit" })
      expect(verdict(result)).toBe("fail query")
      expect(await query("select body from notes")).toEqual([])
    })
  })

  it("is ended by the server when it takes all the time, and nothing goes on there", async () => {
    const url = databaseUrl("postgres")
    const elapsed = startTimer()
    const result = await look(url, { heavy: "select pg_sleep(30)" }, 800)
    expect(verdict(result)).toBe("fail timeout")
    expect(result.detail).toMatch(
      /the heavy query (failed: canceling statement due to statement timeout|gave no answer)/,
    )
    expect(elapsed()).toBeLessThan(5000)
    await untilNoSession()
  })

  it("is ended from outside when the server does not end it itself", async () => {
    const url = databaseUrl("postgres")
    const elapsed = startTimer()
    const stubborn = "select set_config('statement_timeout', '0', false), pg_sleep(0)"
    const result = await look(url, { read: stubborn, heavy: "select pg_sleep(30)" }, 800)
    expect(verdict(result)).toBe("fail timeout")
    expect(result.detail).toContain("the heavy query gave no answer within 800 ms")
    expect(elapsed()).toBeLessThan(6000)
    await untilNoSession()
  })

  it("is not waited for when its server process stands still", async () => {
    const url = databaseUrl("postgres")
    const elapsed = startTimer()
    const looking = look(url, { heavy: "select pg_sleep(30)" }, 1500)
    const pid = await pidOfSleeper()
    process.kill(pid, "SIGSTOP")
    try {
      const result = await looking
      expect(verdict(result)).toBe("fail timeout")
      expect(result.detail).toContain("the heavy query gave no answer within 1.5 s")
      expect(elapsed()).toBeLessThan(1500 + 4000)
      expect((await look(url)).outcome).toBe("ok")
    } finally {
      process.kill(pid, "SIGCONT")
    }
    await untilNoSession()
  })

  it("loses its connection", async () => {
    const url = databaseUrl("postgres")
    const result = await look(url, { heavy: "select pg_terminate_backend(pg_backend_pid())" })
    expect(verdict(result)).toBe("fail reset")
  })
})

describe("a Postgres that answers", () => {
  it("is up after select 1 alone", async () => {
    const result = await look(databaseUrl("postgres"))
    expect(result).toMatchObject({
      outcome: "ok",
      timings: { connectMs: expect.any(Number), firstByteMs: expect.any(Number) },
    })
    expect(result.detail).toMatch(/^postgres on 127\.0\.0\.1:\d+ as nightshift_test answers \(ping [\d.]+ m?s\)$/)
    expect(Object.keys(result.numbers ?? {})).toEqual(["ping.ms"])
  })

  it("has the time of every query, and nothing of what was written", async () => {
    await withDatabase("create table notes (body text); insert into notes values ('one')", async ({ url, query }) => {
      const result = await look(url, {
        read: "select body from notes limit 1",
        write: "insert into notes values ('probe')",
        heavy: "select count(*) from generate_series(1, 1000)",
      })
      expect(result.outcome).toBe("ok")
      expect(Object.keys(result.numbers ?? {})).toEqual(["ping.ms", "read.ms", "write.ms", "heavy.ms"])
      expect(await query("select body from notes")).toEqual([{ body: "one" }])
      await untilNoSession()
    })
  })

  it.each([
    [{ degradedMs: 100 }, "warn slow"],
    [{ degradedMs: 50, failMs: 100 }, "fail slow"],
  ])("is slow with %j when a query takes 200 ms", async (limits, expected) => {
    const result = await look(databaseUrl("postgres"), { heavy: "select pg_sleep(0.2)", ...limits })
    expect(verdict(result)).toBe(expected)
    expect(result.detail).toMatch(/heavy took .+, limit 100 ms/)
  })
})

/** The server process in which our query sleeps. */
async function pidOfSleeper(): Promise<number> {
  const sql = `select pid from pg_stat_activity where application_name = 'nightshift/health' and wait_event = 'PgSleep'`
  for (let tries = 0; tries < 100; tries++) {
    const [row] = await administer(sql)
    if (row) return Number(row.pid)
    await sleep(10)
  }
  throw new Error("the query never slept")
}

/** How a server refuses a connection (protocol 3). */
function errorResponse(code: string, message: string): Buffer {
  const fields = Buffer.from(`SFATAL\0VFATAL\0C${code}\0M${message}\0\0`)
  const head = Buffer.alloc(5)
  head.write("E")
  head.writeInt32BE(fields.length + 4, 1)
  return Buffer.concat([head, fields])
}
