import { expect, it } from "vitest"
import { withClient } from "../../../lib/postgres/connect.ts"
import { retryConflicts, withTransaction } from "../../../lib/postgres/transaction.ts"
import { withDatabase } from "../../support/postgres.ts"

const options = { applicationName: "tests" }
const signal = AbortSignal.timeout(20_000)

it("a transaction that fails leaves nothing, and its error is the one that is heard", async () => {
  await withDatabase("create table t (i int)", async (database) => {
    await withClient(database.address, options, async (client) => {
      const failing = withTransaction(client, {}, async () => {
        await client.query("insert into t values (1)")
        throw new Error("no more")
      })
      await expect(failing).rejects.toThrow("no more")
      await withTransaction(client, {}, () => client.query("insert into t values (2)"))
    })
    expect(await database.query("select i from t")).toEqual([{ i: 2 }])
  })
})

it("timeouts and read-only hold inside of the transaction alone", async () => {
  await withDatabase("create table t (i int)", async ({ address }) => {
    await withClient(address, options, async (client) => {
      const slow = withTransaction(client, { statementTimeoutMs: 50 }, () => client.query("select pg_sleep(5)"))
      await expect(slow).rejects.toMatchObject({ code: "57014" })
      const writing = withTransaction(client, { readOnly: true }, () => client.query("insert into t values (1)"))
      await expect(writing).rejects.toMatchObject({ code: "25006" })
      await client.query("select pg_sleep(0.1); insert into t values (1)")
    })
  })
})

it("a lock timeout passes and is tried again, up to a bound", async () => {
  await withDatabase("create table t (i int)", async ({ address }) => {
    await withClient(address, options, (holder) =>
      withClient(address, options, async (client) => {
        await holder.query("begin; lock table t in access exclusive mode")
        const tried: string[] = []
        const insert = () =>
          withTransaction(client, { lockTimeoutMs: 30 }, () => client.query("insert into t values (1)"))
        const retry = { times: 3, waitMs: 1, signal, onRetry: (error: unknown) => tried.push(String(error)) }
        await expect(retryConflicts(retry, insert)).rejects.toMatchObject({ code: "55P03" })
        expect(tried).toHaveLength(2)
        const again = { ...retry, onRetry: () => void holder.query("rollback") }
        await expect(retryConflicts({ ...again, waitMs: 50 }, insert)).resolves.toBeDefined()
      }),
    )
  })
})

it("what does not pass by itself is not tried again", async () => {
  let tries = 0
  const fail = async () => {
    tries++
    throw Object.assign(new Error("syntax"), { code: "42601" })
  }
  await expect(retryConflicts({ times: 5, waitMs: 1, signal }, fail)).rejects.toThrow("syntax")
  expect(tries).toBe(1)
})
