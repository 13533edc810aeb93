import { chown, copyFile, writeFile } from "node:fs/promises"
import { join } from "node:path"
import { afterAll, beforeAll, describe, expect, inject, it } from "vitest"
import { errorText } from "../../../lib/core/error-text.ts"
import { type PostgresAddress, parsePostgresUrl, programEnvironment } from "../../../lib/postgres/address.ts"
import { type RunningCluster, startCluster } from "../../../lib/postgres/cluster.ts"
import { withClient } from "../../../lib/postgres/connect.ts"
import { findPrograms } from "../../../lib/postgres/programs.ts"
import { runProgram } from "../../../lib/system/program.ts"
import { makeTempDir, removeTempDir } from "../../../lib/system/temp.ts"
import { unprivilegedUser } from "../../../lib/system/user.ts"
import { freePort } from "../../support/shared-servers.ts"

let dir: string
let cluster: RunningCluster
let port: number
let psql: string

beforeAll(async () => {
  const { major, binDirectories } = inject("postgres")
  dir = await makeTempDir("tls")
  port = await freePort()
  psql = (await findPrograms(major, ["psql"], { binDirectories })).psql
  await makeAuthority("good")
  await makeAuthority("other")
  await makeCertificate("good", "localhost")
  const clusterDir = await makeTempDir("tlspg")
  const user = await unprivilegedUser()
  const files = { ssl_cert_file: join(clusterDir, "server.pem"), ssl_key_file: join(clusterDir, "server.key") }
  await copyFile(join(dir, "localhost.pem"), files.ssl_cert_file)
  await copyFile(join(dir, "localhost.key"), files.ssl_key_file)
  if (user) for (const file of Object.values(files)) await chown(file, user.uid, user.gid)
  cluster = await startCluster({
    major,
    binDirectories,
    dir: clusterDir,
    port,
    superuser: "tester",
    hba: "local all all trust\nhostssl all all all trust\n",
    settings: { listen_addresses: "localhost", fsync: "off", ssl: "on", ...files },
  })
  stopCluster = async () => {
    await cluster.stop()
    await removeTempDir(clusterDir)
  }
})

let stopCluster = async () => {}
afterAll(async () => {
  await stopCluster()
  await removeTempDir(dir)
})

/** What node-postgres and psql each say to a URL: an error, or whether the session is encrypted. */
async function ask(query: string, ca?: string, host = "localhost"): Promise<{ node: string; psql: string }> {
  const url = `postgres://tester@${host}:${port}/postgres${query}`
  const address = parsePostgresUrl(url, "DATABASE_URL", { caFile: ca && join(dir, `${ca}-ca.pem`) })
  return { node: await askNode(address).catch(errorText), psql: await askPsql(address).catch(errorText) }
}

const isEncrypted =
  "select case when ssl then 'encrypted' else 'clear' end as tls from pg_stat_ssl where pid = pg_backend_pid()"

function askNode(address: PostgresAddress): Promise<string> {
  return withClient(
    address,
    { applicationName: "test" },
    async (client) => (await client.query(isEncrypted)).rows[0].tls,
  )
}

async function askPsql(address: PostgresAddress): Promise<string> {
  const { stdout } = await runProgram(psql, ["-X", "-A", "-t", "-c", isEncrypted], { env: programEnvironment(address) })
  return stdout.trim()
}

describe("node-postgres and libpq take one URL in the same way", () => {
  it("refuse a server whose authority they do not know, and say that a CA file is what is missing", async () => {
    for (const ca of [undefined, "other"]) {
      const { node, psql } = await ask("?sslmode=verify-full", ca)
      expect(node).toContain("set caFile to the provider's CA certificate (DATABASE_URL)")
      expect(psql).toContain("certificate verify failed")
    }
  })

  it("refuse another name than the certificate's under verify-full, and take it under verify-ca", async () => {
    const full = await ask("?sslmode=verify-full", "good", "127.0.0.1")
    expect(full.node).toContain("the server's certificate is not made out to 127.0.0.1")
    expect(full.psql).toMatch(/does not match host name/)
    expect(await ask("?sslmode=verify-ca", "good", "127.0.0.1")).toEqual({ node: "encrypted", psql: "encrypted" })
  })

  it("take the server that the CA file vouches for, also where the URL says no sslmode", async () => {
    expect(await ask("", "good")).toEqual({ node: "encrypted", psql: "encrypted" })
    expect(await ask("?sslmode=verify-full", "good")).toEqual({ node: "encrypted", psql: "encrypted" })
  })

  it("encrypt without looking at the certificate under require, and look at it once there is a CA file", async () => {
    expect(await ask("?sslmode=require")).toEqual({ node: "encrypted", psql: "encrypted" })
    expect(await ask("?sslmode=require", "good", "127.0.0.1")).toEqual({ node: "encrypted", psql: "encrypted" })
    const wrong = await ask("?sslmode=require", "other")
    expect(wrong.node).toContain("set caFile")
    expect(wrong.psql).toContain("certificate verify failed")
  })

  it("say that a server wants TLS when the URL forbids it", async () => {
    const { node, psql } = await ask("?sslmode=disable")
    expect(node).toContain(
      "the server wants TLS or does not let this user in: remove sslmode=disable from DATABASE_URL",
    )
    expect(psql).toContain("no encryption")
  })
})

async function makeAuthority(name: string): Promise<void> {
  await openssl(
    "req",
    "-x509",
    "-newkey",
    "ec",
    "-pkeyopt",
    "ec_paramgen_curve:P-256",
    "-nodes",
    "-days",
    "2",
    "-subj",
    `/CN=${name}`,
    "-keyout",
    `${name}-ca.key`,
    "-out",
    `${name}-ca.pem`,
  )
}

async function makeCertificate(authority: string, host: string): Promise<void> {
  await writeFile(join(dir, "ext"), `subjectAltName=DNS:${host}\n`)
  await openssl(
    "req",
    "-newkey",
    "ec",
    "-pkeyopt",
    "ec_paramgen_curve:P-256",
    "-nodes",
    "-subj",
    `/CN=${host}`,
    "-keyout",
    `${host}.key`,
    "-out",
    `${host}.csr`,
  )
  await openssl(
    "x509",
    "-req",
    "-in",
    `${host}.csr`,
    "-CA",
    `${authority}-ca.pem`,
    "-CAkey",
    `${authority}-ca.key`,
    "-CAcreateserial",
    "-days",
    "2",
    "-extfile",
    "ext",
    "-out",
    `${host}.pem`,
  )
}

async function openssl(...args: string[]): Promise<void> {
  await runProgram("openssl", args, { cwd: dir })
}
