import { execFileSync, spawn } from "node:child_process"
import {
  chmodSync,
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs"
import { tmpdir } from "node:os"
import path from "node:path"
import { afterEach, beforeEach, describe, expect, it } from "vitest"
import { writeProgram } from "../../support/programs-folder.ts"

const prepareFile = path.resolve("lib/setup/prepare.mjs")
const leakySuite = ["test", "--config=test/lib/setup/leaky-suite/vitest.config.ts"]

let folder: string
beforeEach(() => {
  folder = mkdtempSync(path.join(tmpdir(), "prepare-"))
  chmodSync(folder, 0o711)
})
afterEach(() => rmSync(folder, { recursive: true, force: true }))

describe("what is missing", () => {
  it("is named with the one command that installs it, exit code 2", async () => {
    const run = await prepare(["test"], { PATH: programs(["node", "npm"]) })
    expect(run.exitCode).toBe(2)
    expect(run.stderr).toMatch(/redis-server, age, zstd, git missing|age, zstd, git missing/)
    expect(run.stderr).toMatch(/run {2}(sudo apt-get install -y|brew install|sudo dnf install -y) .*age zstd git/)
  })

  it("is looked for in OPS_PG_BIN alone when that is set", async () => {
    const run = await prepare(["demo"], { OPS_PG_BIN: folder })
    expect(run.exitCode).toBe(2)
    expect(run.stderr).toContain(`OPS_PG_BIN is ${folder}: it must name a folder that has initdb`)
  })

  it("is installed with apt-get where that asks nobody, saying so first", async () => {
    const bin = programs([
      "node",
      "npm",
      "env",
      "sh",
      "id",
      "setpriv",
      "chmod",
      "touch",
      "git",
      "pgbouncer",
      "redis-server",
    ])
    const log = path.join(folder, "apt.log")
    writeProgram(bin, "sudo", `shift; exec "$@"`)
    const install = `for name in age zstd; do printf '#!/bin/sh\\n' > ${bin}/$name; chmod +x ${bin}/$name; done`
    writeProgram(bin, "apt-get", `echo "$*" >> ${log}; case "$*" in *install*) ${install};; esac`)

    const run = await prepare(leakySuite, { PATH: bin, CI: "true", LEAKY_WAIT_MS: "0" })

    expect(run.stderr).toContain("age, zstd missing: installing age zstd with apt-get")
    expect(readFileSync(log, "utf8")).toMatch(/update\n.*install -y --no-install-recommends age zstd\n/)
    expect(run.exitCode).toBe(0)
  })
})

describe("packages", () => {
  it("are installed when they are missing or not as locked, and left alone otherwise", async () => {
    const checkout = smallCheckout("1.0.0")
    const first = await prepare(["demo"], {}, checkout)
    expect(first.stderr).toContain("installing packages, none are there yet (npm ci)")
    expect(existsSync(path.join(checkout, "node_modules/.package-lock.json"))).toBe(true)

    expect((await prepare(["demo"], {}, checkout)).stderr).not.toContain("installing packages")

    smallCheckout("1.0.1")
    expect((await prepare(["demo"], {}, checkout)).stderr).toContain("installing packages, dep is not as locked")
  })

  it("that cannot be installed end it with exit code 2", async () => {
    const checkout = smallCheckout("1.0.0")
    writeFileSync(path.join(checkout, "package-lock.json"), JSON.stringify({ lockfileVersion: 3, packages: {} }))
    const run = await prepare(["demo"], {}, checkout)
    expect(run.exitCode).toBe(2)
    expect(run.stderr).toContain("npm ci failed with exit code 1")
  })
})

describe("what a command leaves running", () => {
  it("is ended and removed when the command succeeded", async () => {
    const run = await prepare(leakySuite, { LEAKY_WAIT_MS: "0" })
    expect(run.exitCode).toBe(0)
    expectNothingLeft(run.stdout)
  })

  it.each([
    { signal: "SIGINT", exitCode: 130 },
    { signal: "SIGTERM", exitCode: 143 },
    { signal: "SIGHUP", exitCode: 129 },
  ] as const)("is ended and removed after $signal", async ({ signal, exitCode }) => {
    const run = await prepare(leakySuite, {}, ".", (child, stdout) => {
      if (stdout.includes("cluster is up")) child.kill(signal)
    })
    expect(run.exitCode).toBe(exitCode)
    expectNothingLeft(run.stdout)
  })
})

it("an unknown command is refused with the names of those that exist", async () => {
  const run = await prepare(["tset"])
  expect(run).toMatchObject({ exitCode: 2, stderr: expect.stringContaining("tset is unknown: use demo, test, ") })
})

type OnOutput = (child: ReturnType<typeof spawn>, stdout: string) => void

function prepare(args: string[], env: Record<string, string> = {}, checkout = ".", onOutput?: OnOutput) {
  const file = checkout === "." ? prepareFile : path.join(checkout, "lib/setup/prepare.mjs")
  const essentials = { PATH: process.env.PATH ?? "", HOME: process.env.HOME ?? "/", TMPDIR: folder }
  const child = spawn(process.execPath, [file, ...args], { env: { ...essentials, ...env } })
  let stdout = ""
  let stderr = ""
  child.stdout.on("data", (chunk) => {
    stdout += chunk
    onOutput?.(child, stdout)
  })
  child.stderr.on("data", (chunk) => {
    stderr += chunk
  })
  return new Promise<{ exitCode: number | null; stdout: string; stderr: string }>((resolve, reject) => {
    child.once("error", reject)
    child.once("close", (exitCode) => resolve({ exitCode, stdout, stderr }))
  })
}

function expectNothingLeft(stdout: string): void {
  const data = stdout.match(/cluster is up in (\S+)/)?.[1]
  if (!data) throw new Error(`no cluster was started: ${stdout}`)
  expect(existsSync(data)).toBe(false)
  expect(execFileSync("ps", ["-axww", "-o", "command="], { encoding: "utf8" })).not.toContain(path.dirname(data))
  expect(execFileSync("ls", [folder], { encoding: "utf8" })).not.toContain("nightshift-")
}

/** A folder to be the whole PATH, with these programs of the machine in it. */
function programs(names: string[]): string {
  const bin = path.join(folder, "bin")
  mkdirSync(bin)
  for (const name of names) {
    const file = name === "node" ? process.execPath : execFileSync("which", [name], { encoding: "utf8" }).trim()
    symlinkSync(file, path.join(bin, name))
  }
  return bin
}

/** A checkout with the set-up alone and one package, which is a folder of its own: nothing is fetched. */
function smallCheckout(version: string): string {
  const checkout = path.join(folder, "checkout")
  cpSync("lib/setup", path.join(checkout, "lib/setup"), { recursive: true })
  mkdirSync(path.join(checkout, "dep"), { recursive: true })
  const dep = { name: "dep", version }
  const own = { name: "small", version: "1.0.0", engines: { node: ">=24" }, dependencies: { dep: "file:dep" } }
  const packages = { "": own, dep: { version }, "node_modules/dep": { resolved: "dep", link: true } }
  writeFileSync(path.join(checkout, "dep/package.json"), JSON.stringify(dep))
  writeFileSync(path.join(checkout, "package.json"), JSON.stringify(own))
  writeFileSync(path.join(checkout, "package-lock.json"), JSON.stringify({ ...own, lockfileVersion: 3, packages }))
  return checkout
}
