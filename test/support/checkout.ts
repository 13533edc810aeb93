import { mkdir, mkdtemp, readFile, rm, writeFile } from "node:fs/promises"
import { tmpdir } from "node:os"
import { dirname, join } from "node:path"
import { Writable } from "node:stream"
import { pathToFileURL } from "node:url"
import type { ActionsOutput } from "../../lib/github/actions-output.ts"
import type { Job } from "../../lib/job/job.ts"
import type { Run } from "../../lib/job/run.ts"
import { runJob } from "../../lib/job/runner.ts"

const here = new URL("../..", import.meta.url)

/** The address of a module of this repository, for the files of a checkout that lies elsewhere. */
export function moduleUrl(path: string): string {
  return new URL(path, here).href
}

/** What a run came to, and everything it wrote. */
export type Outcome = { run: Run; exitCode: number; stdout: string; stderr: string }

export type RunOptions = {
  argv?: string[]
  env?: Record<string, string>
  signal?: AbortSignal
  now?: string
  actions?: ActionsOutput
}

export type Checkout = AsyncDisposable & {
  dir: string
  /** Writes a file below the checkout. */
  write(path: string, text: string): Promise<string>
  read(path: string): Promise<string>
  /** Runs a job, by name or as a value, with nothing in the environment but what is given. */
  run(job: string | Job, options?: RunOptions): Promise<Outcome>
  /** The run lines of the ledger, in order, of the day of `now`. */
  ledger(day: string): Promise<unknown[]>
}

/** A temporary checkout with a configuration: `config` is the content of `defineConfig({ … })`. Removed when it is disposed. */
export async function makeCheckout(config = `app: { name: "Shop" }`): Promise<Checkout> {
  const dir = await mkdtemp(join(tmpdir(), "nightshift-checkout-"))
  const write = async (path: string, text: string) => {
    const file = join(dir, path)
    await mkdir(dirname(file), { recursive: true })
    await writeFile(file, text)
    return file
  }
  await write("ops.config.ts", configText(config))
  return {
    dir,
    write,
    read: (path) => readFile(join(dir, path), "utf8"),
    run: (job, options) => run(dir, job, options),
    ledger: async (day) =>
      jsonLines(await readFile(join(dir, ".ops/ledger/runs", `${day.replaceAll("-", "/")}.jsonl`), "utf8")),
    [Symbol.asyncDispose]: () => rm(dir, { recursive: true, force: true }),
  }
}

/** A configuration file for a checkout that lies elsewhere. */
export function configText(config: string): string {
  const imports = `import { defineConfig, secret, variable } from ${JSON.stringify(moduleUrl("lib/config/define.ts"))}`
  return `${imports}\nexport default defineConfig({ ${config} })\nexport const unused = [secret, variable]\n`
}

/** A job file for a checkout that lies elsewhere; `body` are the fields after its name. */
export function jobText(name: string, body: string): string {
  return `import { defineJob } from ${JSON.stringify(moduleUrl("lib/job/job.ts"))}
export default defineJob({ name: ${JSON.stringify(name)}, about: "Does ${name}", config: () => ({}), ${body} })\n`
}

export function jsonLines(text: string): unknown[] {
  return text
    .split("\n")
    .filter(Boolean)
    .map((line) => JSON.parse(line))
}

async function run(
  root: string,
  job: string | Job,
  { argv = [], env = {}, signal, now, actions }: RunOptions = {},
): Promise<Outcome> {
  const stdout = collector()
  const stderr = collector()
  const subject = typeof job === "string" ? { name: job } : { job }
  const args = now ? [...argv, "--now", now] : argv
  const streams = { stdout: stdout.stream, stderr: stderr.stream }
  const optional = { ...(signal && { signal }), ...(actions && { actions }) }
  // In Actions incidents are issues and the ledger is a branch; who wants those says so with an address.
  const ops = (name: string) => directoryUrl(join(root, ".ops", name))
  const place = { INCIDENTS: ops("incidents"), LEDGER: ops("ledger"), ...env }
  const result = await runJob({ ...subject, ...streams, ...optional, argv: args, env: place, root })
  return { ...result, stdout: stdout.text(), stderr: stderr.text() }
}

function collector() {
  const chunks: string[] = []
  const stream = new Writable({
    write(chunk, _encoding, done) {
      chunks.push(String(chunk))
      done()
    },
  })
  return { stream, text: () => chunks.join("") }
}

/** The file URL of a directory, as a store or ledger address. */
export function directoryUrl(dir: string): string {
  return pathToFileURL(dir).href
}
