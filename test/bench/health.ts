import { spawn } from "node:child_process"
import { once } from "node:events"
import { mkdir, readFile, writeFile } from "node:fs/promises"
import { cpus } from "node:os"
import { join, resolve } from "node:path"
import { createInterface } from "node:readline"
import { pathToFileURL } from "node:url"
import { formatBytes } from "../../lib/core/size.ts"
import { every, startTimer } from "../../lib/system/clock.ts"
import { withTempDir } from "../../lib/system/temp.ts"

/*
 * Measures the job health as a whole command on many services of a local server, which is a process of its own, beside the same
 * requests by curl --parallel and by plain undici, both with as many at once and a connection for each, as of services that are apart.
 * Prints medians and the ratios round by round, the memory for a tenth and for all of the services, the start with one service, and
 * the same on a machine on which nothing ran before. All of the command counts, from the start of Node to its end, ledger included.
 *
 *     node --import tsx test/bench/health.ts                    5 rounds, 1,000 services
 *     node --import tsx test/bench/health.ts --rounds 9 --services 300
 */
const rounds = numberOption("--rounds", 5)
const count = numberOption("--services", 1000)
const atOnce = 20

type Measured = { seconds: number; cpuSeconds: number; peakBytes: number }
type Bench = { dir: string; url: string }
const partNames = { seconds: "wall", cpuSeconds: "CPU " }
/** What the pulse starts Node with, after `exec node`. */
const pulseStep = /exec node (.* lib\/job\/main\.ts health)$/m.exec(
  await readFile(".github/workflows/pulse.yml", "utf8"),
)
const jobArgs = [...(pulseStep?.[1] ?? "").split(" "), "--json"]

const server = spawn(process.execPath, ["--input-type=module", "-e", serverText()], {
  stdio: ["ignore", "pipe", "inherit"],
})
try {
  const [line] = await once(createInterface(server.stdout), "line")
  await withTempDir("bench", async (dir) => {
    const bench = { dir, url: `http://127.0.0.1:${line}` }
    await writeConfigs(bench)
    await compareSpeed(bench)
    await compareMemory(bench)
    await measureColdStart(bench)
  })
} finally {
  server.kill()
}

/** Answers like the health endpoint of an app. */
function serverText(): string {
  return `import { createServer } from "node:http"
    const body = JSON.stringify({ status: "healthy", version: "1.4.2", services: { database: "ok", redis: "ok" }, uptime: 86400 })
    const server = createServer((request, response) => {
      response.writeHead(200, { "content-type": "application/json", "content-length": body.length }).end(body)
    })
    server.listen(0, "127.0.0.1", 4096, () => console.log(server.address().port))`
}

async function writeConfigs({ dir, url }: Bench): Promise<void> {
  const define = JSON.stringify(pathToFileURL(resolve("lib/config/define.ts")).href)
  const configOf = (services: string) => `import { defineConfig } from ${define}
    const services = ${services}
    export default defineConfig({ app: { name: "Bench" }, canaries: [${JSON.stringify(url)}], services })`
  const many = (n: number) =>
    `Object.fromEntries(Array.from({ length: ${n} }, (_, at) => ["s" + at, { url: ${JSON.stringify(url)} + "/s" + at }]))`
  for (const n of [1, Math.ceil(count / 10), count]) await writeFile(join(dir, `${n}.config.ts`), configOf(many(n)))
  const urls = Array.from({ length: count }, (_, at) => `url = "${url}/s${at}"\noutput = "/dev/null"`)
  await writeFile(join(dir, "curl.txt"), urls.join("\n"))
  await writeFile(join(dir, "undici.mjs"), undiciText(url))
}

/** The same number at once, each on a connection of its own, with the body read. */
function undiciText(url: string): string {
  const undici = JSON.stringify(pathToFileURL(resolve("node_modules/undici/index.js")).href)
  return `import { Agent, request } from ${undici}
    const dispatcher = new Agent({ pipelining: 0 })
    let next = 0
    const worker = async () => {
      while (next < Number(process.argv[2])) {
        const { statusCode, body } = await request("${url}/s" + next++, { dispatcher })
        if (statusCode !== 200 || (await body.json()).status !== "healthy") throw new Error("not well")
      }
    }
    await Promise.all(Array.from({ length: ${atOnce} }, worker))
    await dispatcher.close()`
}

async function compareSpeed(bench: Bench): Promise<void> {
  const { dir } = bench
  const [ours, curl, undici] = ["health", "curl --parallel", "plain undici"] as const
  const [oursAtStart, undiciAtStart] = ["health, 1 service", "plain undici, 1"] as const
  const curlArgs = ["--silent", "--fail", "--no-keepalive", "--header", "connection: close", "--parallel"]
  const results = await alternate({
    [ours]: () => health(bench, count),
    [curl]: () => measure("curl", [...curlArgs, "--parallel-max", String(atOnce), "--config", join(dir, "curl.txt")]),
    [undici]: () => measure(process.execPath, [join(dir, "undici.mjs"), String(count)]),
    [oursAtStart]: () => health(bench, 1),
    [undiciAtStart]: () => measure(process.execPath, [join(dir, "undici.mjs"), "1"]),
  })
  printTable(results)
  for (const [base, part, target] of [
    [undici, "seconds", 2],
    [undici, "cpuSeconds", 2],
    [curl, "seconds", undefined],
    [curl, "cpuSeconds", undefined],
  ] as const) {
    const told = `${ours} / ${base}:`.padEnd(26)
    hold(`${partNames[part]} ${told}`, ratios(results[ours] ?? [], results[base] ?? [], part), target)
  }
  for (const part of ["seconds", "cpuSeconds"] as const) {
    const [own, base] = [less(results[ours], results[oursAtStart]), less(results[undici], results[undiciAtStart])]
    hold(`${partNames[part]} the same less the start:  `, ratios(own, base, part), 2)
  }
}

type Cost = Pick<Measured, keyof typeof partNames>

/** What is left of each run without the start of the same round. */
function less(runs: readonly Measured[] = [], starts: readonly Measured[] = []): Cost[] {
  return runs.map((run, round) => ({
    seconds: run.seconds - (starts[round]?.seconds ?? Number.NaN),
    cpuSeconds: run.cpuSeconds - (starts[round]?.cpuSeconds ?? Number.NaN),
  }))
}

/** Prints the median of the ratios, which holds when the machine's speed drifts, and their range; above the target the bench fails. */
function hold(what: string, values: readonly number[], target: number | undefined): void {
  const range = `${Math.min(...values).toFixed(2)} to ${Math.max(...values).toFixed(2)}`
  const goal = target === undefined ? "" : `   target at most ${target.toFixed(2)}`
  console.log(`${what} ${median(values).toFixed(2)} (${range})${goal}`)
  if (target !== undefined && !(median(values) <= target)) process.exitCode = 1
}

function ratios(runs: readonly Cost[], bases: readonly Cost[], part: keyof Cost): number[] {
  return runs.map((run, round) => run[part] / (bases[round]?.[part] ?? Number.NaN))
}

async function compareMemory(bench: Bench): Promise<void> {
  for (const services of [Math.ceil(count / 10), count]) {
    const { peakBytes } = await health(bench, services)
    console.log(`peak memory with ${String(services).padStart(5)} services: ${formatBytes(peakBytes)}`)
  }
}

async function measureColdStart(bench: Bench): Promise<void> {
  await health(bench, 1)
  const runs: Measured[] = []
  for (let round = 0; round < 2 * rounds; round++) runs.push(await health(bench, 1))
  const [wall, cpu] = [runs.map(({ seconds }) => seconds), runs.map(({ cpuSeconds }) => cpuSeconds)]
  console.log(
    `one service: wall ${(median(wall) * 1000).toFixed(0)} ms, CPU ${(median(cpu) * 1000).toFixed(0)} ms, at worst ${(Math.max(...wall) * 1000).toFixed(0)} ms   target below 600 ms`,
  )
  if (!(median(wall) < 0.6)) process.exitCode = 1
  const fresh: Measured[] = []
  for (let round = 0; round < rounds; round++) {
    const empty = join(bench.dir, `fresh-${round}`)
    await mkdir(empty)
    fresh.push(await health(bench, 1, { TMPDIR: empty, CI: "true" }))
  }
  const [freshWall, freshCpu] = [fresh.map(({ seconds }) => seconds), fresh.map(({ cpuSeconds }) => cpuSeconds)]
  console.log(
    `the same where nothing ran before, as on a new runner (tsx compiles each file): wall ${(median(freshWall) * 1000).toFixed(0)} ms, CPU ${(median(freshCpu) * 1000).toFixed(0)} ms`,
  )
}

/** Each number of services has a ledger of its own: a run reads what the last two days saw of its services. */
function health({ dir }: Bench, services: number, env: Record<string, string> = {}): Promise<Measured> {
  const ledger = {
    LEDGER: pathToFileURL(join(dir, `ledger-${services}`)).href,
    INCIDENTS: pathToFileURL(join(dir, `incidents-${services}`)).href,
  }
  return measure(process.execPath, [...jobArgs, "--config", join(dir, `${services}.config.ts`)], { ...ledger, ...env })
}

/** Wall time, processor time and peak memory of a whole process. Throws when it fails. */
async function measure(file: string, args: string[], env: Record<string, string> = {}): Promise<Measured> {
  const elapsed = startTimer()
  const child = spawn(file, args, { env: { ...process.env, ...env }, stdio: ["ignore", "ignore", "pipe"] })
  const errors: string[] = []
  child.stderr.on("data", (chunk) => errors.push(String(chunk)))
  const seen = { cpuSeconds: 0, peakBytes: 0 }
  const look = async () => {
    const [status, stat] = await Promise.all(
      ["status", "stat"].map((name) => readFile(`/proc/${child.pid}/${name}`, "utf8").catch(() => "")), // it may have ended just now
    )
    const ticks = stat?.slice(stat.lastIndexOf(")")).split(" ").slice(12, 14) ?? []
    const cpuSeconds = ticks.reduce((sum, text) => sum + Number(text), 0) / 100
    seen.peakBytes = Math.max(seen.peakBytes, Number(/VmHWM:\s+(\d+)/.exec(status ?? "")?.[1] ?? 0) * 1024)
    if (cpuSeconds > seen.cpuSeconds) seen.cpuSeconds = cpuSeconds
  }
  const stopLooking = every(5, () => void look())
  const code = await new Promise((resolve, reject) => child.once("error", reject).once("close", resolve))
  stopLooking()
  if (code !== 0) throw new Error(`${file} ${args.join(" ")} ended with ${code}: ${errors.join("")}`)
  return { seconds: elapsed() / 1000, ...seen }
}

/** One warm-up, then every contender in each round, from another one on each time. */
async function alternate(contenders: Record<string, () => Promise<Measured>>): Promise<Record<string, Measured[]>> {
  const entries = Object.entries(contenders)
  const results: Record<string, Measured[]> = Object.fromEntries(entries.map(([name]) => [name, []]))
  for (const [, run] of entries) await run()
  for (let round = 0; round < rounds; round++) {
    for (let turn = 0; turn < entries.length; turn++) {
      const [name, run] = entries[(round + turn) % entries.length] ?? []
      if (name && run) results[name]?.push(await run())
    }
  }
  return results
}

function printTable(results: Record<string, Measured[]>): void {
  console.log(`${count} services, ${atOnce} at once, ${rounds} rounds, ${cpus().length} cores\n`)
  console.log(`${"command".padEnd(18)}${"wall s".padStart(9)}${"CPU s".padStart(9)}${"peak RSS".padStart(12)}`)
  for (const [name, runs] of Object.entries(results)) {
    const [wall, cpu] = [runs.map((run) => run.seconds), runs.map((run) => run.cpuSeconds)].map((list) =>
      median(list).toFixed(2).padStart(9),
    )
    console.log(
      `${name.padEnd(18)}${wall}${cpu}${formatBytes(Math.max(...runs.map((run) => run.peakBytes))).padStart(12)}`,
    )
  }
  console.log("")
}

function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b)
  const middle = Math.floor(sorted.length / 2)
  return sorted.length % 2 === 1
    ? (sorted[middle] ?? Number.NaN)
    : ((sorted[middle - 1] ?? 0) + (sorted[middle] ?? 0)) / 2
}

function numberOption(name: string, fallback: number): number {
  const at = process.argv.indexOf(name)
  const value = at < 0 ? fallback : Number(process.argv[at + 1])
  if (!Number.isInteger(value) || value < 1) throw new Error(`${name} takes a whole number of 1 or more`)
  return value
}
