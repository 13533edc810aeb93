import { spawn } from "node:child_process"
import { once } from "node:events"
import { mkdir, readFile, rm, symlink, writeFile } from "node:fs/promises"
import { dirname, join } from "node:path"
import { pathToFileURL } from "node:url"
import { describe, expect, it } from "vitest"
import { ConfigError } from "../../../lib/core/config-error.ts"
import { errorText } from "../../../lib/core/error-text.ts"
import type { Ledger } from "../../../lib/ledger/ledger.ts"
import { openLedger } from "../../../lib/ledger/open.ts"
import { withTempDir } from "../../../lib/system/temp.ts"

const stream = "backups/main.jsonl"

async function withLedger(fn: (ledger: Ledger, dir: string) => Promise<void>): Promise<void> {
  await withTempDir("ledger", async (temp) => {
    const dir = join(temp, "not yet there")
    await fn(openLedger(pathToFileURL(dir).href), dir)
  })
}

async function put(dir: string, text: string): Promise<string> {
  const path = join(dir, stream)
  await mkdir(dirname(path), { recursive: true })
  await writeFile(path, text)
  return path
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

describe("a damaged ledger", () => {
  const damage: [string, string, string][] = [
    ["a cut line in the middle", '{"n":1}\n{"n":\n{"n":3}\n', "line 2 is not JSON"],
    ["a cut line at the end", '{"n":1}\n\n{"n":', "line 3 is not JSON"],
    ["a line that is no object", '{"n":1}\n[2]\n', "line 2 is not a JSON object"],
  ]
  it.each(damage)("with %s is not read, and the line is named", async (_name, text, expected) => {
    await withLedger(async (ledger, dir) => {
      await put(dir, text)
      await expect(ledger.read(stream)).rejects.toThrow(
        `cannot read ${stream} of the ledger ${ledger.name}: ${expected}`,
      )
    })
  })

  it("does not glue a new row to the rest of a write that was cut off", async () => {
    await withLedger(async (ledger, dir) => {
      const path = await put(dir, '{"n":1}\n{"n":')
      await ledger.append([{ stream, row: { n: 3 } }])
      expect(await readFile(path, "utf8")).toBe('{"n":1}\n{"n":\n{"n":3}\n')
      await put(dir, '{"n":1}')
      await ledger.append([{ stream, row: { n: 2 } }])
      expect(await ledger.read(stream)).toEqual([{ n: 1 }, { n: 2 }])
    })
  })
})

describe("a ledger in a directory", () => {
  it("gives back the rows of each stream in order", async () => {
    await withLedger(async (ledger) => {
      expect(await ledger.read(stream)).toEqual([])
      expect(await ledger.streams("runs")).toEqual([])
      const odd = 'line\nbreak, \u2028 and \u2029, 😀 and "quotes"'
      await ledger.append([
        { stream: "runs/2026/11/20.jsonl", row: { n: 1, odd } },
        { stream, row: { n: 2 } },
        { stream: "runs/2026/11/20.jsonl", row: { n: 3 } },
        { stream: "runs/2026/02/01.jsonl", row: { n: 4 } },
      ])
      await ledger.append([{ stream, row: { n: 5 } }])
      await ledger.append([])
      expect(await ledger.read("runs/2026/11/20.jsonl")).toEqual([{ n: 1, odd }, { n: 3 }])
      expect(await ledger.read(stream)).toEqual([{ n: 2 }, { n: 5 }])
      expect(await ledger.streams("runs")).toEqual(["runs/2026/02/01.jsonl", "runs/2026/11/20.jsonl"])
      expect(await ledger.streams("")).toEqual([stream, "runs/2026/02/01.jsonl", "runs/2026/11/20.jsonl"])
    })
  })

  it("refuses names that lead elsewhere, before anything is written", async () => {
    await withLedger(async (ledger) => {
      for (const bad of [
        "../x.jsonl",
        "a/../../x.jsonl",
        "/x.jsonl",
        "a//x.jsonl",
        ".hidden.jsonl",
        "a\\b.jsonl",
        "x.json",
        "a\0.jsonl",
        "",
      ]) {
        await expect(
          ledger.append([
            { stream, row: {} },
            { stream: bad, row: {} },
          ]),
        ).rejects.toThrow("is no stream of a ledger")
        await expect(ledger.read(bad)).rejects.toThrow("is no stream of a ledger")
      }
      await expect(ledger.streams("../..")).rejects.toThrow("is no folder of a ledger")
      expect(await ledger.read(stream)).toEqual([])
    })
  })

  it("loses and mixes no row when two processes write at once", async () => {
    await withLedger(async (ledger) => {
      const url = ledger.name.replaceAll(" ", "%20")
      const script = `
        import { openLedger } from ${JSON.stringify(new URL("../../../lib/ledger/open.ts", import.meta.url).href)}
        const [url, who] = process.argv.slice(1)
        const ledger = openLedger(url)
        for (let n = 0; n < 60; n++) await ledger.append([{ stream: "${stream}", row: { who, n, pad: "x".repeat(20_000) } }])`
      const children = ["a", "b"].map((who) => {
        return spawn(process.execPath, ["--input-type=module", "-e", script, url, who], { stdio: "inherit" })
      })
      const codes = await Promise.all(children.map(async (child) => (await once(child, "exit"))[0]))
      expect(codes).toEqual([0, 0])
      const rows = (await ledger.read(stream)) as { who: string; n: number }[]
      for (const who of ["a", "b"]) {
        expect(rows.filter((row) => row.who === who).map((row) => row.n)).toEqual(
          Array.from({ length: 60 }, (_, n) => n),
        )
      }
    })
  })

  it("reads files larger than a chunk, with rows across its borders", async () => {
    await withLedger(async (ledger) => {
      const records = Array.from({ length: 3000 }, (_, n) => ({ stream, row: { n, pad: "é".repeat((n * 37) % 2000) } }))
      await ledger.append(records)
      expect(await ledger.read(stream)).toEqual(records.map(({ row }) => row))
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
    ]) {
      const error = (() => {
        try {
          return openLedger(url)
        } catch (error) {
          return error
        }
      })()
      expect(error, url).toBeInstanceOf(ConfigError)
      expect(errorText(error)).toMatch(/^LEDGER is .*: set it to .*file:\/\/\/absolute\/path/)
      expect(errorText(error)).not.toContain("s3cr3t")
    }
  })
})

it("is gone with its directory", async () => {
  await withLedger(async (ledger, dir) => {
    await ledger.append([{ stream, row: { n: 1 } }])
    await rm(dir, { recursive: true })
    expect(await ledger.read(stream)).toEqual([])
  })
})
