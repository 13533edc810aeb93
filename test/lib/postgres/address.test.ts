import fc from "fast-check"
import { describe, expect, it } from "vitest"
import { ConfigError } from "../../../lib/core/config-error.ts"
import {
  clientConfig,
  databaseArgument,
  describeAddress,
  type PostgresAddress,
  parsePostgresUrl,
  programEnvironment,
  tlsWeakness,
} from "../../../lib/postgres/address.ts"

const parse = (url: string, caFile?: string) => parsePostgresUrl(url, "DATABASE_URL", { caFile })

function problemsOf(url: string, caFile?: string): string {
  try {
    parse(url, caFile)
  } catch (error) {
    if (error instanceof ConfigError) return error.problems.join("\n")
    throw error
  }
  return "none"
}

describe("a URL that is refused", () => {
  it.each([
    ["mysql://u:p4ss@h/d", "DATABASE_URL is no Postgres URL"],
    ["", "DATABASE_URL is no Postgres URL"],
    ["postgres://h/d", "names no user"],
    ["postgres://u:p4ss@h", "names no database"],
    ["postgres://u:p4ss@/d", "names no host"],
    ["postgres://u:p4ss@a,b/d", "names several hosts"],
    ["postgres://u:p4ss@a:1,b:2/d", "names several hosts"],
    ["postgres://u:p4ss@h:0/d", "has a port that is no number from 1 to 65535"],
    ["postgres://u:p4ss@h:99999/d", "has a port that is no number from 1 to 65535"],
    ["postgres://u:p4ss@::1/d", 'more than one ":" in its host: write an IPv6 address as [::1]:5432'],
    ["postgres://u:p4ss@h/d?connect_timeout=0", "connect_timeout is no number of seconds from 1 to 300"],
    ["postgres://u:p4ss@h/d?sslmode=no-verify", "sslmode is none of disable, require, verify-ca, verify-full"],
    ["postgres://u:p4ss@h/d?sslmode=prefer", "sslmode=prefer may fall back to clear text"],
    ["postgres://u:p4ss@h/d?sslmode=verify-ca", "would trust anybody's certificate"],
    ["postgres://u:p4ss@h/d?sslmode=require&sslrootcert=system", "would trust anybody's certificate"],
    ["postgres://u:p4ss@h/d?channel_binding=always", "channel_binding is none of disable, prefer, require"],
    ["postgres://u:p4ss@h/d?sslmode=disable&channel_binding=require", "channel_binding=require needs TLS"],
    ["postgres://u:p4ss@h/d?pgbouncer=true&connection_limit=1", "not known here (pgbouncer, connection_limit)"],
    ["postgres://u:p4ss@h/d?sslmode=require&sslmode=disable", "gives the parameter sslmode twice"],
    ["postgres://u:p4ss%zz@h/d", 'has a "%" that encodes nothing'],
    ["postgres://u:p4ss%00@h/d", "zero byte"],
    ["postgres://u:p4ss@w0rd@h/d", 'write "@" as %40'],
    ["postgres://u:p4ss/w0rd@h/d", 'write "@" as %40'],
    ["postgres://u:p4ss?w0rd@h/d", 'write "@" as %40'],
  ])("%s", (url, problem) => {
    const text = problemsOf(url)
    expect(text).toContain(problem)
    expect(text).not.toMatch(/p4ss|w0rd/)
  })

  it("is told with all its problems at once", () => {
    expect(problemsOf("postgres://h:x/?ssl=true&sslmode=allow").split("\n")).toHaveLength(5)
  })
})

describe("a URL that is accepted", () => {
  it("is read into its parts", () => {
    expect(
      parse("postgresql://alice:pw@db.example.com:6000/shop?connect_timeout=7&options=-c%20work_mem%3D8MB"),
    ).toEqual({
      name: "DATABASE_URL",
      host: "db.example.com",
      port: 6000,
      user: "alice",
      password: "pw",
      database: "shop",
      tls: { mode: "verify-full", ca: "system" },
      options: "-c work_mem=8MB",
      channelBinding: undefined,
      connectTimeoutSeconds: 7,
    } satisfies PostgresAddress)
  })

  it.each([
    ["postgres://u:p%40s%2Fs%3A%25@h/d", { password: "p@s/s:%" }],
    ["postgres://u:a:b#c@h/d", { password: "a:b#c" }],
    ["postgres://ü:pässwörd%F0%9F%94%91@h/dätä", { user: "ü", password: "pässwörd🔑", database: "dätä" }],
    [" postgres://u@h/d\n", { host: "h", database: "d", password: undefined }],
    ["postgres://u@[::1]:6000/d", { host: "::1", port: 6000 }],
    ["postgres://u@[2001:db8::7]/d", { host: "2001:db8::7", port: 5432 }],
    ["postgres://u@%2Ftmp%2Fx/d", { host: "/tmp/x", tls: { mode: "disable" as const } }],
    ["postgres:///d?host=/var/run/postgresql&user=u&port=6000", { host: "/var/run/postgresql", port: 6000, user: "u" }],
    ["postgres://u@h/d?application_name=web", { database: "d" }],
  ])("%s", (url, parts) => {
    expect(parse(url)).toMatchObject(parts)
  })

  it("gives back any user, password and database that were percent-encoded", () => {
    const text = fc
      .string({ unit: "grapheme", minLength: 1 })
      .filter((text) => !text.includes("\0") && text.isWellFormed())
    fc.assert(
      fc.property(text, text, text, (user, password, database) => {
        const [u, p, d] = [user, password, database].map(encodeURIComponent)
        expect(parse(`postgres://${u}:${p}@h/${d}`)).toMatchObject({ user, password, database, host: "h" })
      }),
    )
  })
})

describe("how a connection is protected", () => {
  it.each([
    ["postgres://u@db.example.com/d", undefined, { mode: "verify-full", ca: "system" }],
    ["postgres://u@db.example.com/d", "/ca.pem", { mode: "verify-full", ca: "/ca.pem" }],
    ["postgres://u@db.example.com/d?sslrootcert=/url.pem", "/ca.pem", { mode: "verify-full", ca: "/url.pem" }],
    [
      "postgres://u@db.example.com/d?sslmode=verify-full&sslrootcert=system",
      undefined,
      { mode: "verify-full", ca: "system" },
    ],
    ["postgres://u@db.example.com/d?sslmode=verify-ca", "/ca.pem", { mode: "verify-ca", ca: "/ca.pem" }],
    ["postgres://u@db.example.com/d?sslmode=require", "/ca.pem", { mode: "verify-ca", ca: "/ca.pem" }],
    ["postgres://u@db.example.com/d?sslmode=require", undefined, { mode: "require" }],
    [
      "postgres://u@db.example.com/d?sslmode=require&channel_binding=require",
      undefined,
      { mode: "verify-full", ca: "system" },
    ],
    ["postgres://u@db.example.com/d?sslmode=disable", undefined, { mode: "disable" }],
    ["postgres://u@localhost/d", undefined, { mode: "disable" }],
    ["postgres://u@127.0.0.9/d?sslmode=prefer", undefined, { mode: "disable" }],
    ["postgres://u@localhost/d", "/ca.pem", { mode: "verify-full", ca: "/ca.pem" }],
    ["postgres://u@[::1]/d?sslmode=require", undefined, { mode: "require" }],
    ["postgres:///d?user=u&host=/tmp&sslmode=verify-full", undefined, { mode: "disable" }],
  ])("%s with the CA file %s", (url, caFile, tls) => {
    expect(parse(url, caFile).tls).toEqual(tls)
  })

  it("is called weak where somebody on the way could read or replace what is sent", () => {
    expect(tlsWeakness(parse("postgres://u@db.example.com/d"))).toBeUndefined()
    expect(tlsWeakness(parse("postgres://u@localhost/d"))).toBeUndefined()
    expect(tlsWeakness(parse("postgres://u@db.example.com/d?sslmode=require"))).toContain("does not check who answers")
    expect(tlsWeakness(parse("postgres://u@db.example.com/d?sslmode=disable"))).toContain("clear text")
  })

  it("cannot be set up with a CA file that is missing or holds no certificate", () => {
    expect(() => clientConfig(parse("postgres://u@h/d", "/no/ca.pem"))).toThrow("/no/ca.pem cannot be read (ENOENT)")
    expect(() => clientConfig(parse("postgres://u@h/d", "/etc/passwd"))).toThrow("/etc/passwd holds no certificate")
  })
})

it("describes an address without its password", () => {
  expect(describeAddress(parse("postgres://u:p4ss@h/d"))).toBe("d on h:5432 as u")
  expect(describeAddress(parse("postgres://u:p4ss@[::1]:7/d"))).toBe("d on [::1]:7 as u")
  expect(describeAddress(parse("postgres://u:p4ss@%2Ftmp/d"))).toBe("d on /tmp/.s.PGSQL.5432 as u")
})

it("gives programs the same address as the client, in their environment", () => {
  const address = parse("postgres://u:p4ss@h/d?options=-c%20jit%3Doff&channel_binding=prefer")
  expect(programEnvironment(address, "nightshift/backup")).toEqual({
    HOME: "/nonexistent",
    PGHOST: "h",
    PGPORT: "5432",
    PGUSER: "u",
    PGPASSWORD: "p4ss",
    PGDATABASE: "d",
    PGAPPNAME: "nightshift/backup",
    PGCONNECT_TIMEOUT: "15",
    PGGSSENCMODE: "disable",
    PGSSLMODE: "verify-full",
    PGSSLROOTCERT: expect.stringMatching(/^\/.*\.(crt|pem)$/),
    PGOPTIONS: "-c jit=off",
    PGCHANNELBINDING: "prefer",
  })
  expect(programEnvironment(parse("postgres://u@localhost/d"))).not.toHaveProperty("PGPASSWORD")
})

it("quotes a database's name so that libpq does not read settings in it", () => {
  expect(databaseArgument("host=evil 'x' \\")).toBe("dbname='host=evil \\'x\\' \\\\'")
})
