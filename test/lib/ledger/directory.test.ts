import { mkdir, readdir, readFile, symlink, writeFile } from "node:fs/promises"
import { dirname, join, relative } from "node:path"
import { pathToFileURL } from "node:url"
import { gzipSync } from "node:zlib"
import { describe, expect, it } from "vitest"
import { ConfigError } from "../../../lib/core/config-error.ts"
import { errorText } from "../../../lib/core/error-text.ts"
import { readDailyTallies } from "../../../lib/ledger/daily-tally.ts"
import type { Ledger } from "../../../lib/ledger/ledger.ts"
import { observationRecords, readObservations } from "../../../lib/ledger/observations.ts"
import { openLedger } from "../../../lib/ledger/open.ts"
import { makeTempDir, removeTempDir, withTempDir } from "../../../lib/system/temp.ts"
import { describeLedger } from "./conformance.ts"

const stream = "backups/main.jsonl"

async function withLedger(fn: (ledger: Ledger, dir: string) => Promise<void>): Promise<void> {
  await withTempDir("ledger", async (temp) => {
    const dir = join(temp, "not yet there")
    await fn(openLedger(pathToFileURL(dir).href), dir)
  })
}

describe("a ledger that cannot be written", () => {
  it("says why and what to do", async () => {
    await withLedger(async (ledger, dir) => {
      await mkdir(dir)
      await writeFile(join(dir, "backups"), "a file")
      await expect(ledger.append([{ stream, row: {} }])).rejects.toThrow(
        `cannot add to ${stream} of the ledger ${ledger.name}: a part of its path is a file: set LEDGER to a directory`,
      )
    })
    await withLedger(async (ledger, dir) => {
      await mkdir(join(dir, "backups"), { recursive: true })
      await symlink("/dev/full", join(dir, stream))
      await expect(ledger.append([{ stream, row: {} }])).rejects.toThrow("the disk is full: free space")
    })
    const refused = openLedger("file:///sys/nightshift").append([{ stream, row: {} }])
    await expect(refused).rejects.toThrow(/permission denied: make it writable|the file system is read-only/)
  })
})

describeLedger("a directory", async () => {
  const temp = await makeTempDir("ledger-test")
  const dir = join(temp, "not yet there")
  const url = pathToFileURL(dir).href
  return {
    url,
    open: (options) => openLedger(url, options),
    async put(path, text) {
      await mkdir(dirname(join(dir, path)), { recursive: true })
      await writeFile(join(dir, path), text)
    },
    get: (path) => readFile(join(dir, path)),
    async files() {
      const entries = await readdir(dir, { recursive: true, withFileTypes: true })
      return entries
        .filter((entry) => entry.isFile())
        .map((entry) => relative(dir, join(entry.parentPath, entry.name)))
        .sort()
    },
    [Symbol.asyncDispose]: () => removeTempDir(temp),
  }
})

describe("a roll-up that was cut off", () => {
  const day = "runs/2026/11/18.jsonl"
  const now = new Date("2026-11-20T12:00:00Z")

  it("between the compressed file and the removal of the plain one counts no row twice, and is ended by the next", async () => {
    await withLedger(async (ledger, dir) => {
      await ledger.append([1, 2, 3].map((n) => ({ stream: day, row: { n } })))
      const text = await readFile(join(dir, day))
      await writeFile(join(dir, `${day}.gz`), gzipSync(text))
      expect(await ledger.read(day)).toEqual([{ n: 1 }, { n: 2 }, { n: 3 }])
      await openLedger(pathToFileURL(dir).href, { now }).append([{ stream, row: {} }])
      expect(await readdir(join(dir, "runs/2026/11"))).toEqual(["18.jsonl.gz"])
      expect(await ledger.read(day)).toEqual([{ n: 1 }, { n: 2 }, { n: 3 }])
    })
  })

  it("between the tallies and the removal of the rows counts no look twice, and is ended by the next", async () => {
    await withLedger(async (ledger, dir) => {
      const at = new Date("2026-11-18T10:00:00Z")
      const rows = observationRecords([{ at, service: "api", by: "health", outcome: "ok", latencyMs: 80 }])
      const [from, to] = [new Date("2026-11-01T00:00:00Z"), new Date("2026-12-01T00:00:00Z")]
      const later = openLedger(pathToFileURL(dir).href, { now: new Date("2027-03-01T12:00:00Z") })
      await ledger.append(rows)
      await later.append([{ stream, row: {} }])
      await ledger.append(rows) // the rows are there again, as if they had never been removed
      expect(await readDailyTallies(ledger, from, to)).toEqual([])
      expect(await readObservations(ledger, from, to)).toHaveLength(1)
      await later.append([{ stream, row: {} }])
      expect((await readDailyTallies(ledger, from, to)).map(({ outcomes }) => outcomes.ok)).toEqual([1])
      expect(await readObservations(ledger, from, to)).toEqual([])
    })
  })

  it("leaves a compressed file that is damaged alone, and reads what can be read of it", async () => {
    await withLedger(async (_, dir) => {
      const warnings: string[] = []
      const ledger = openLedger(pathToFileURL(dir).href, { now, log: { warn: (text) => void warnings.push(text) } })
      const lines = Array.from({ length: 20_000 }, (_, n) => `{"n":${n},"x":"${Math.sin(n)}"}\n`)
      const bytes = gzipSync(lines.join(""))
      await mkdir(dirname(join(dir, day)), { recursive: true })
      await writeFile(join(dir, `${day}.gz`), bytes.subarray(0, bytes.length - 5000))
      await ledger.append([{ stream: day, row: { late: true } }])
      const rows = await ledger.read(day)
      expect(rows.length).toBeGreaterThan(10_000)
      expect(rows.at(-1)).toEqual({ late: true })
      expect(warnings.join("\n")).toMatch(/cannot zip runs.*\n.*is damaged after line/)
      expect((await readFile(join(dir, `${day}.gz`))).length).toBe(bytes.length - 5000)
    })
  })
})

describe("the address of a ledger", () => {
  it("is refused when no ledger can be there, and not repeated", () => {
    for (const url of [
      "",
      "s3cr3t",
      "s3://key:s3cr3t@bucket/x",
      "file://host/s3cr3t",
      "file:///s3cr3t?x=1",
      "file:///s3cr3t#x",
      "git+ssh://git@host/s3cr3t.git",
      "git+http://example.com/s3cr3t.git",
      "git+https://user:s3cr3t@example.com/shop.git",
      "git+https://example.com/",
      "git+https://example.com/shop.git?s3cr3t",
      "git+https://example.com/shop.git#../s3cr3t",
      "git+https://example.com/shop.git#--s3cr3t",
    ]) {
      const error = (() => {
        try {
          return openLedger(url)
        } catch (error) {
          return error
        }
      })()
      expect(error, url).toBeInstanceOf(ConfigError)
      expect(errorText(error)).toMatch(/^LEDGER (?:is|has|begins|names) .*: (?:set it to|use|take it out)/)
      expect(errorText(error)).not.toContain("s3cr3t")
    }
  })
})
