import { describe, expect, it } from "vitest"
import { ConfigError } from "../../../lib/core/config-error.ts"
import { parsePostgresUrl } from "../../../lib/postgres/address.ts"
import { refuseTransactionPooler, refuseUnreachableIpv6 } from "../../../lib/postgres/pooler.ts"
import { hasRoute } from "../../../lib/system/route.ts"
import { withPgbouncer } from "../../support/pgbouncer.ts"
import { type TestDatabase, withDatabase } from "../../support/postgres.ts"

const options = { applicationName: "nightshift/test" }
const parse = (url: string) => parsePostgresUrl(url, "DATABASE_URL")
const through = (database: TestDatabase, port: number) => parse(database.url.replace(/:\d+\//, `:${port}/`))

describe("a pooler in front of the server", () => {
  it("is refused when it gives out the server per transaction, also while others use it", async () => {
    await withDatabase("", (database) =>
      withPgbouncer("transaction", async (port) => {
        const address = through(database, port)
        for (let round = 0; round < 5; round++) {
          const refusing = refuseTransactionPooler(address, options)
          await expect(refusing).rejects.toBeInstanceOf(ConfigError)
          await expect(refusing).rejects.toThrow(
            /^DATABASE_URL: test_\w+ on 127.0.0.1:\d+ as \w+ is a transaction pooler, .*: use the address of the Postgres server itself/,
          )
        }
      }),
    )
  })

  it("is refused when it gives out the server per statement", async () => {
    await withDatabase("", (database) =>
      withPgbouncer("statement", async (port) => {
        await expect(refuseTransactionPooler(through(database, port), options)).rejects.toThrow(
          "is a transaction pooler",
        )
      }),
    )
  })

  it("is accepted when it gives out the server per session, as is the server itself", async () => {
    await withDatabase("", (database) =>
      withPgbouncer("session", async (port) => {
        await refuseTransactionPooler(through(database, port), options)
        await refuseTransactionPooler(database.address, options)
      }),
    )
  })

  it.each([
    [
      "postgres://postgres.abcd:pw@aws-0-eu-west-2.pooler.supabase.com:6543/postgres",
      "postgres://postgres.abcd:…@aws-0-eu-west-2.pooler.supabase.com:5432/postgres",
    ],
    [
      "postgres://postgres:pw@db.abcd.supabase.co:6543/postgres",
      "postgres://postgres.abcd:…@aws-0-<region>.pooler.supabase.com:5432/postgres",
    ],
  ])("is known by its port on Supabase: %s", async (url, instead) => {
    await expect(refuseTransactionPooler(parse(url), options)).rejects.toThrow(instead)
  })
})

describe("a host that has only IPv6", () => {
  const six = async () => [{ address: "2001:db8::1", family: 6 }]
  const both = async () => [...(await six()), { address: "192.0.2.1", family: 4 }]
  const address = parse("postgres://postgres:pw@db.abcd.supabase.co/postgres")

  it("is refused where this machine has no IPv6, with the address to use instead", async () => {
    const refusing = refuseUnreachableIpv6(address, { lookup: six, hasRoute: async () => false })
    await expect(refusing).rejects.toBeInstanceOf(ConfigError)
    await expect(refusing).rejects.toThrow(
      "DATABASE_URL: db.abcd.supabase.co has only an IPv6 address, and this machine has no IPv6: use the session pooler, " +
        "postgres://postgres.abcd:…@aws-0-<region>.pooler.supabase.com:5432/postgres",
    )
    const other = parse("postgres://u@db.example.com/d")
    await expect(refuseUnreachableIpv6(other, { lookup: six, hasRoute: async () => false })).rejects.toThrow(
      "the provider's IPv4 address",
    )
  })

  it("is accepted where there is a way to it, where it has IPv4 too, and where it is this machine", async () => {
    const never = async () => false
    await refuseUnreachableIpv6(address, { lookup: six, hasRoute: async () => true })
    await refuseUnreachableIpv6(address, { lookup: both, hasRoute: never })
    await refuseUnreachableIpv6(parse("postgres://u@[::1]/d"), { hasRoute: never })
  })

  it("is left to the connection when it cannot be looked up", async () => {
    await refuseUnreachableIpv6(parse("postgres://u@db.invalid/d"), { hasRoute: async () => false })
  })

  it("is found out by asking for a route, which loopback has and the address of everyone has not", async () => {
    expect(await hasRoute("127.0.0.1")).toBe(true)
    expect(await hasRoute("255.255.255.255")).toBe(false)
  })
})
