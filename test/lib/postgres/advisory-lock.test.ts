import type pg from "pg"
import { expect, it } from "vitest"
import { errorText } from "../../../lib/core/error-text.ts"
import type { Log } from "../../../lib/core/log.ts"
import { parsePostgresUrl } from "../../../lib/postgres/address.ts"
import { LockHeld, type LockOptions, withAdvisoryLock } from "../../../lib/postgres/advisory-lock.ts"
import { withClient } from "../../../lib/postgres/connect.ts"
import { sleep } from "../../../lib/system/clock.ts"
import { type TestDatabase, withDatabase, withRole } from "../../support/postgres.ts"

const name = "nightshift/main"
const signal = new AbortController().signal

function recordingLog(): Log & { lines: string[] } {
  const lines: string[] = []
  const add = (message: string) => lines.push(message)
  return { lines, debug: add, info: add, warn: add, error: add, progress: () => ({ at() {}, done() {} }) }
}

function lock<T>(
  database: TestDatabase,
  applicationName: string,
  fn: (signal: AbortSignal, client: pg.Client) => Promise<T>,
  options: Partial<LockOptions> = {},
) {
  return withClient(database.address, { applicationName }, (client) =>
    withAdvisoryLock(client, name, { waitMs: 0, signal, log: recordingLog(), ...options }, (signal) =>
      fn(signal, client),
    ),
  )
}

it("names the holder when the wait is over, and logs whom it waits for", async () => {
  await withDatabase("", (database) =>
    lock(database, "nightshift/cleanup", async () => {
      const log = recordingLog()
      const waiting = lock(database, "nightshift/backup", async () => "never", { waitMs: 700, log })
      await expect(waiting).rejects.toBeInstanceOf(LockHeld)
      await expect(waiting).rejects.toThrow(
        /^the lock nightshift\/main is held by nightshift\/cleanup \(pid \d+, user nightshift_test, from 127.0.0.1, connected since \d{4}-\d\d-\d\dT[\d:]{8}Z\); waited \d+ ms: try again/,
      )
      expect(log.lines).toEqual([
        expect.stringMatching(/^waiting for the lock nightshift\/main, held by nightshift\/cleanup \(pid/),
      ])
    }),
  )
})

it("names what it may know of a holder that is another role's", async () => {
  await withDatabase("", (database) =>
    withRole(database, "pw", (role) =>
      lock(database, "nightshift/cleanup", async () => {
        const address = parsePostgresUrl(database.urlAs(role, "pw"), "DATABASE_URL")
        const trying = withClient(address, { applicationName: "nightshift/backup" }, (client) =>
          withAdvisoryLock(client, name, { waitMs: 0, signal, log: recordingLog() }, async () => "never"),
        )
        expect(await trying.catch(errorText)).toMatch(/held by nightshift\/cleanup \(pid \d+, user nightshift_test\)/)
      }),
    ),
  )
})

it("aborts the work when the connection that holds it is lost", async () => {
  await withDatabase("", async (database) => {
    const losing = lock(database, "nightshift/backup", async (held, client) => {
      const pid = (await client.query("select pg_backend_pid() as pid")).rows[0].pid
      const aborted = new Promise((resolve) => held.addEventListener("abort", () => resolve(held.reason)))
      await database.query("select pg_terminate_backend($1)", [pid])
      const reason = await aborted
      expect(errorText(reason)).toContain("the lock nightshift/main is lost: its connection broke")
      return "half a backup"
    })
    expect(await losing.catch(errorText)).toContain("the lock nightshift/main is lost")
  })
})

it("is free again after the work, also when that failed inside a transaction", async () => {
  await withDatabase("", async (database) => {
    const failing = lock(database, "nightshift/backup", async (_held, client) => {
      await client.query("begin")
      await client.query("select 1/0")
    })
    await expect(failing).rejects.toThrow("division by zero")
    await expect(lock(database, "one", async () => "done")).resolves.toBe("done")
  })
})

it("is given back on a connection that lives on", async () => {
  await withDatabase("", (database) =>
    withClient(database.address, { applicationName: "nightshift/backup" }, async (client) => {
      const options = { waitMs: 0, signal, log: recordingLog() }
      const failing = withAdvisoryLock(client, name, options, () => client.query("begin; select 1/0"))
      await expect(failing).rejects.toThrow("division by zero")
      await expect(lock(database, "another", async () => "done")).resolves.toBe("done")
      await withAdvisoryLock(client, name, options, async () => undefined)
      await expect(lock(database, "another", async () => "done")).resolves.toBe("done")
    }),
  )
})

it("waits for a holder that ends in time", async () => {
  await withDatabase("", async (database) => {
    const order: string[] = []
    const first = lock(database, "first", async () => {
      await sleep(400)
      order.push("first")
    })
    await sleep(150)
    await lock(database, "second", async () => void order.push("second"), { waitMs: 10_000 })
    await first
    expect(order).toEqual(["first", "second"])
  })
})

it("stops waiting when the signal fires", async () => {
  await withDatabase("", (database) =>
    lock(database, "first", async () => {
      const reason = new Error("cancelled")
      const abort = new AbortController()
      setTimeout(() => abort.abort(reason), 100)
      const waiting = lock(database, "second", async () => "never", { waitMs: 60_000, signal: abort.signal })
      await expect(waiting).rejects.toBe(reason)
    }),
  )
})
