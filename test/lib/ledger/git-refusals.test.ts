import { readdirSync, readFileSync } from "node:fs"
import { chmod, readFile, writeFile } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { describe, expect, it } from "vitest"
import type { Ledger } from "../../../lib/ledger/ledger.ts"
import { openLedger } from "../../../lib/ledger/open.ts"
import { runProgram } from "../../../lib/system/program.ts"
import {
  type GitFault,
  type GitRemote,
  type GitRequest,
  ledgerTempDirs,
  makeGitRemote,
  serveGit,
} from "../../support/git-remote.ts"
import { textOf, withLedger } from "./with-ledger.ts"

const stream = "backups/main.jsonl"
const token = "ghs_0123456789abcdefghijABCDEFGHIJ"

describe("a branch that cannot be written", () => {
  it("says why and what to do, and shows no row that is not there", async () => {
    await using remote = await makeGitRemote()
    await hook(
      remote,
      "pre-receive",
      "echo 'GH006: Protected branch update failed for refs/heads/ops-data.' >&2; exit 1",
    )
    await withLedger(remote.url, async (ledger) => {
      const text = await textOf(ledger.append([{ stream, row: {} }]))
      expect(text).toContain(
        `cannot add to the ledger ${remote.url}: the branch is protected: let this workflow's token push`,
      )
      expect(await ledger.read(stream)).toEqual([])
    })
  })

  it("is another repository, no repository or nowhere: each in words", async () => {
    await using remote = await makeGitRemote()
    await withLedger(remote.url.replace("shop", "shoe"), async (ledger) => {
      expect(await textOf(ledger.read(stream))).toMatch(/cannot read the ledger .*there is no such repository.*LEDGER/)
    })
    await withLedger("git+http://127.0.0.1:9/shop.git", async (ledger) => {
      expect(await textOf(ledger.read(stream))).toMatch(/cannot read the ledger .*its host cannot be reached/)
    })
  })

  const refusals: [number, GitFault, RegExp][] = [
    [403, { status: 403, body: "Write access to repository not granted." }, /permissions: contents: write/],
    [404, { status: 404 }, /no such repository, or the token may not see it/],
    [401, { status: 401 }, /give GITHUB_TOKEN to this step/],
    [301, { status: 301 }, /has moved: set LEDGER to its new address/],
  ]
  it.each(refusals)("because its host answers %i is told with the remedy", async (_status, fault, expected) => {
    await using remote = await makeGitRemote()
    await using server = await serveGit(remote, { fault: ({ path }) => (path.includes("receive") ? fault : undefined) })
    await withLedger(server.url, async (ledger) => {
      const text = await textOf(ledger.append([{ stream, row: {} }]))
      expect(text).toMatch(expected)
      expect(text).not.toContain(token)
    })
  })

  it("holds something else is left as it is", async () => {
    await using remote = await makeGitRemote()
    await remote.edit({ "package.json": "{}", "README.md": "our shop" })
    await withLedger(remote.url, async (ledger) => {
      expect(await textOf(ledger.append([{ stream, row: {} }]))).toMatch(
        /holds something else than a ledger: set LEDGER/,
      )
    })
    expect(await remote.commits()).toBe(1)
  })

  it("gives up after a bounded number of tries when someone else is always faster", async () => {
    await using remote = await makeGitRemote()
    await withLedger(remote.url, (ledger) => ledger.append([{ stream, row: { n: 1 } }]))
    await hook(remote, "update", 'echo "cannot lock ref" >&2; echo x >> "$GIT_DIR/tries"; exit 1')
    await withLedger(remote.url, async (ledger) => {
      expect(await textOf(ledger.append([{ stream, row: { n: 2 } }]))).toContain("someone else wrote to the branch")
    })
    expect((await readFile(join(remote.dir, "tries"), "utf8")).split("\n")).toHaveLength(13)
  }, 60_000)

  it("is left at once when the run must end", async () => {
    await using remote = await makeGitRemote()
    await hook(remote, "pre-receive", "sleep 20")
    await withLedger(remote.url, async (ledger) => {
      const signal = AbortSignal.timeout(1000)
      const error = await ledger.append([{ stream, row: {} }], signal).catch((error: unknown) => error)
      expect(error).toBe(signal.reason)
    })
  })
})

describe("a host that is asked over the network", () => {
  it("gets the token in a header alone: no argument, file or message has it", async () => {
    await using remote = await makeGitRemote()
    const seen: string[] = []
    const fault = () => {
      seen.push(...commandLinesNow())
      return undefined
    }
    await using server = await serveGit(remote, { token, fault })
    const ledger = openLedger(server.url, { token })
    await ledger.append([{ stream, row: { n: 1 } }])
    const dirs = await ledgerTempDirs()
    expect(dirs.length).toBeGreaterThan(0)
    for (const form of [token, Buffer.from(`x-access-token:${token}`).toString("base64")]) {
      const found = await runProgram("grep", ["-rl", form, ...dirs.map((dir) => join(tmpdir(), dir))]).catch(
        (error) => error,
      )
      expect(found).toMatchObject({ exitCode: 1 })
      expect(seen.join("\n")).not.toContain(form)
    }
    expect(seen.join("\n")).toContain("git")
    expect(server.requests.every(({ authorization }) => authorization?.startsWith("Basic "))).toBe(true)
    await ledger.close()
    await withLedger(server.url, async (other) => {
      expect(await textOf(other.read(stream))).toMatch(/no token or a wrong one was given: give GITHUB_TOKEN/)
    })
    const withWrongToken = async (other: Ledger) => {
      const text = await textOf(other.read(stream))
      expect(text).toMatch(/no token or a wrong one/)
      expect(text).not.toContain("wrong-token")
    }
    await withLedger(server.url, withWrongToken, { token: "wrong-token" })
  })

  it("that is in trouble for a moment is asked again", async () => {
    await using remote = await makeGitRemote()
    const faults: GitFault[] = [{ status: 503 }, "hang up"]
    await using server = await serveGit(remote, { fault: () => faults.shift() })
    await withLedger(server.url, (ledger) => ledger.append([{ stream, row: { n: 1 } }]))
    expect(await remote.show(stream)).toBe('{"n":1}')
  })

  it("that is away is not asked the same again for each question of a run, and is when there are rows to add", async () => {
    await using remote = await makeGitRemote()
    let isAway = true
    await using server = await serveGit(remote, { fault: () => (isAway ? { status: 503 } : undefined) })
    await withLedger(server.url, async (ledger) => {
      const first = await textOf(ledger.read(stream))
      const asked = server.requests.length
      expect(await textOf(ledger.streams("runs"))).toBe(first)
      expect(server.requests.length).toBe(asked)
      isAway = false
      await ledger.append([{ stream, row: { n: 1 } }])
      expect(await ledger.read(stream)).toEqual([{ n: 1 }])
    })
  })

  it("whose answer to a push is lost has each row once", async () => {
    await using remote = await makeGitRemote()
    await withLedger(remote.url, (ledger) => ledger.append([{ stream, row: { n: 1 } }]))
    let isLost = false
    const fault = ({ method, path }: GitRequest): GitFault => {
      if (isLost || method !== "POST" || !path.includes("receive-pack")) return undefined
      isLost = true
      return "hang up after the work"
    }
    await using server = await serveGit(remote, { fault })
    await withLedger(server.url, async (ledger) => {
      await ledger.append([{ stream, row: { n: 2 } }])
      expect(isLost).toBe(true)
      expect(await ledger.read(stream)).toEqual([{ n: 1 }, { n: 2 }])
    })
    expect(await remote.commits()).toBe(2)
  })
})

async function hook(remote: GitRemote, name: string, script: string): Promise<void> {
  const path = join(remote.dir, "hooks", name)
  await writeFile(path, `#!/bin/sh\n${script}\n`)
  await chmod(path, 0o755)
}

/** What every process of this machine was started with. */
function commandLinesNow(): string[] {
  return readdirSync("/proc").flatMap((pid) => {
    if (!/^\d+$/.test(pid)) return []
    try {
      return readFileSync(`/proc/${pid}/cmdline`, "utf8").replaceAll("\0", " ")
    } catch {
      return [] // it has ended since
    }
  })
}
