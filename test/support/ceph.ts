import { randomUUID } from "node:crypto"
import { access, mkdir, writeFile } from "node:fs/promises"
import { createServer } from "node:net"
import { join } from "node:path"
import { setTimeout as sleep } from "node:timers/promises"
import { type RunningProgram, runProgram, startProgram } from "../../lib/system/program.ts"
import { makeTempDir, removeTempDir } from "../../lib/system/temp.ts"
import type { S3Coordinates } from "./s3-server.ts"

const stepTimeoutMs = 15_000
const attempts = 3
const keys = { accessKeyId: "NIGHTSHIFTTEST", secretAccessKey: "nightshift-test-secret" }

type Ceph = { coordinates: S3Coordinates; stop: () => Promise<void> }

/**
 * Starts a whole Ceph cluster with its S3 gateway: one monitor, one storage daemon that keeps everything in memory, one gateway, all on
 * loopback and inside one directory. The pid of each is in `<name>.pid` there; where util-linux has `setpriv`, none outlives this process.
 */
export async function startCeph(): Promise<Ceph> {
  const errors: unknown[] = []
  for (let attempt = 0; attempt < attempts; attempt++) {
    const dir = await makeTempDir("s3")
    const daemons: RunningProgram[] = []
    const stop = async () => {
      await Promise.all(daemons.map((daemon) => daemon.kill("SIGKILL")))
      await removeTempDir(dir)
    }
    try {
      return { coordinates: await startCluster(dir, daemons), stop }
    } catch (error) {
      console.error(error)
      errors.push(error) // most likely a port was taken in between: the next attempt has others
      await stop()
    }
  }
  throw new AggregateError(errors, `Ceph did not start in ${attempts} attempts`)
}

async function startCluster(dir: string, daemons: RunningProgram[]): Promise<S3Coordinates> {
  const [monitorPort, gatewayPort] = [await freePort(), await freePort()]
  const [clusterId, diskId] = [randomUUID(), randomUUID()]
  const config = join(dir, "ceph.conf")
  const run = (program: string, ...args: string[]) =>
    runProgram(program, ["-c", config, ...args], { timeoutMs: stepTimeoutMs })
  const start = async (name: string, program: string, ...args: string[]) => {
    const daemon = await startDaemon(program, ["-c", config, ...args, "-f"])
    daemons.push(daemon)
    await writeFile(join(dir, `${name}.pid`), `${daemon.pid}\n`)
  }

  await writeFile(config, cephConfig(dir, clusterId, gatewayPort))
  for (const folder of ["mon", "osd", "rgw"]) await mkdir(join(dir, folder))
  const map = join(dir, "monmap")
  await runProgram(
    "monmaptool",
    ["--create", "--addv", "a", `[v1:127.0.0.1:${monitorPort}]`, "--fsid", clusterId, map],
    { timeoutMs: stepTimeoutMs },
  )
  await run("ceph-mon", "--mkfs", "-i", "a", "--monmap", map)
  await start("mon", "ceph-mon", "-i", "a")
  await run("ceph", "osd", "new", diskId, "0")
  await run("ceph", "osd", "crush", "add", "osd.0", "1", "root=default")
  await run("ceph-osd", "-i", "0", "--mkfs", "--osd-uuid", diskId)
  await start("osd", "ceph-osd", "-i", "0")
  const access = `--access-key ${keys.accessKeyId} --secret-key ${keys.secretAccessKey}`
  await run("radosgw-admin", ...`user create --uid test --display-name test ${access}`.split(" "))
  await start("rgw", "radosgw", "-n", "client.rgw.test")
  const endpoint = `http://127.0.0.1:${gatewayPort}`
  await untilAnswers(endpoint)
  return { kind: "ceph", endpoint, ...keys, region: "us-east-1" }
}

async function startDaemon(program: string, args: string[]): Promise<RunningProgram> {
  const hasSetpriv = await access("/usr/bin/setpriv").then(
    () => true,
    () => false,
  )
  const [file, ...rest] = hasSetpriv ? ["/usr/bin/setpriv", "--pdeathsig", "KILL", program] : [program]
  const daemon = startProgram(file ?? program, [...rest, ...args], { stdout: "ignore" })
  daemon.exited.catch(() => undefined) // the step that needs it fails, with more to say
  return daemon
}

async function untilAnswers(endpoint: string): Promise<void> {
  let reason: unknown
  for (let waitedMs = 0; waitedMs < stepTimeoutMs; waitedMs += 25) {
    try {
      await fetch(endpoint, { signal: AbortSignal.timeout(2000) }).then((answer) => answer.body?.cancel())
      return
    } catch (error) {
      reason = error
      await sleep(25)
    }
  }
  throw new Error(`nothing answers at ${endpoint}`, { cause: reason })
}

/**
 * A change of the cluster's map is agreed on at once (paxos intervals): with the defaults each of eleven takes a second. The storage daemon
 * does not place itself (`on start = false`): its question may reach the monitor too early, and then it ends itself.
 */
function cephConfig(dir: string, clusterId: string, gatewayPort: number): string {
  return `[global]
fsid = ${clusterId}
monmap = ${dir}/monmap
mon initial members = a
auth cluster required = none
auth service required = none
auth client required = none
ms bind msgr2 = false
ms bind ipv6 = false
public network = 127.0.0.0/8
paxos propose interval = 0.02
paxos min wait = 0.01
osd pool default size = 1
osd pool default min size = 1
mon allow pool size one = true
osd pool default pg num = 1
osd pool default pgp num = 1
osd pool default pg autoscale mode = off
osd crush chooseleaf type = 0
mon data avail crit = 1
run dir = ${dir}
admin socket =
pid file =
log file =
log to stderr = false
mon cluster log file =
mon cluster log to file = false
mon data = ${dir}/mon
osd data = ${dir}/osd
osd objectstore = memstore
memstore device bytes = 8589934592
osd class update on start = false
osd crush update on start = false
rgw data = ${dir}/rgw
rgw frontends = beast endpoint=127.0.0.1:${gatewayPort} tcp_nodelay=1
rgw override bucket index max shards = 1
rgw thread pool size = 32
rgw gc obj min wait = 1
rgw gc processor period = 2
rgw run sync thread = false
`
}

async function freePort(): Promise<number> {
  const server = createServer()
  await new Promise<void>((resolve, reject) => server.once("error", reject).listen(0, "127.0.0.1", resolve))
  const address = server.address()
  await new Promise((resolve) => server.close(resolve))
  if (address === null || typeof address === "string") throw new Error("no TCP port was given")
  return address.port
}
