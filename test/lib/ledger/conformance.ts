import { spawn } from "node:child_process"
import { once } from "node:events"
import { gunzipSync } from "node:zlib"
import { afterEach, beforeEach, describe, expect, it } from "vitest"
import type { Observation } from "../../../lib/core/observation.ts"
import { readDailyTallies } from "../../../lib/ledger/daily-tally.ts"
import type { Ledger, LedgerOptions, LedgerRecord } from "../../../lib/ledger/ledger.ts"
import { observationRecords, readObservations } from "../../../lib/ledger/observations.ts"

/** A place for one ledger: what is stored there is seen without going through the ledger. */
export type LedgerPlace = AsyncDisposable & {
  url: string
  open(options?: LedgerOptions): Ledger
  put(path: string, text: string): Promise<void>
  get(path: string): Promise<Buffer>
  files(): Promise<string[]>
}

const stream = "backups/main.jsonl"

/** What every ledger must do. `make` gives an empty place for each test. */
export function describeLedger(kind: string, make: () => Promise<LedgerPlace>): void {
  describe(`a ledger in ${kind}`, () => {
    let place: LedgerPlace
    let opened: Ledger[]
    const warnings: string[] = []
    const open = (options: LedgerOptions = {}) => {
      const ledger = place.open({ log: { warn: (message) => void warnings.push(message) }, ...options })
      opened.push(ledger)
      return ledger
    }
    beforeEach(async () => {
      place = await make()
      opened = []
      warnings.length = 0
    })
    afterEach(async () => {
      for (const ledger of opened) await ledger.close()
      await place[Symbol.asyncDispose]()
    })
    const suite = { open, warnings, place: () => place }
    describeDamage(suite)
    describeRows(suite)
    describeWriters(suite)
    describeObservations(suite)
    describeRollUp(suite)
  })
}

type Suite = { open(options?: LedgerOptions): Ledger; warnings: string[]; place(): LedgerPlace }

function describeDamage({ open, warnings, place }: Suite): void {
  const damage: [string, string, string][] = [
    ["a cut line in the middle", '{"n":1}\n{"n":\n{"n":3}\n', "skipped line 2 of backups/main.jsonl"],
    ["a cut line at the end", '{"n":1}\n{"n":3}\n{"n":', "skipped line 3 of backups/main.jsonl"],
    ["a line that is no row", '{"n":1}\n"two"\n{"n":3}\n', "skipped line 2 of backups/main.jsonl"],
    ["much that is no row", '{"n":1}\n<<<<<<<\nmine\n=======\n{"n":3}', "skipped 3 lines of backups/main.jsonl"],
  ]
  it.each(damage)("reads past %s, and warns once", async (_name, text, expected) => {
    await place().put("ledger.json", '{"format":1}\n')
    await place().put(stream, text)
    expect(await open().read(stream)).toEqual([{ n: 1 }, { n: 3 }])
    expect(warnings).toEqual([expect.stringContaining(expected)])
    expect(warnings[0]).toContain("remove or repair it")
  })

  it("does not glue a new row to the rest of a write that was cut off", async () => {
    await place().put("ledger.json", '{"format":1}\n')
    await place().put(stream, '{"n":1}\n{"n":')
    await open().append([{ stream, row: { n: 3 } }])
    expect(String(await place().get(stream))).toBe('{"n":1}\n{"n":\n{"n":3}\n')
  })

  it("starts its own state again when that cannot be read", async () => {
    await place().put("ledger.json", '{"format":')
    const ledger = open({ now: new Date("2026-11-20T12:00:00Z") })
    await ledger.append([{ stream, row: { n: 1 } }])
    expect(await ledger.read(stream)).toEqual([{ n: 1 }])
    expect(warnings.join()).toContain("ledger.json")
  })
}

function describeRows({ open, place }: Suite): void {
  it("gives back the rows of each stream in order, to itself and to whoever opens it next", async () => {
    const ledger = open()
    expect(await ledger.read(stream)).toEqual([])
    expect(await ledger.streams("runs")).toEqual([])
    const odd = 'line\nbreak, \u2028 and \u2029, 😀 and "quotes"'
    await ledger.append([
      { stream: "runs/2026/11/20.jsonl", row: { n: 1, odd } },
      { stream, row: { n: 2 } },
      { stream: "runs/2026/11/20.jsonl", row: [3, null, "x"] },
      { stream: "runs/2026/02/01.jsonl", row: { n: 4 } },
    ])
    await ledger.append([{ stream, row: { n: 5 } }])
    await ledger.append([])
    for (const reader of [ledger, open()]) {
      expect(await reader.read("runs/2026/11/20.jsonl")).toEqual([{ n: 1, odd }, [3, null, "x"]])
      expect(await reader.read(stream)).toEqual([{ n: 2 }, { n: 5 }])
      expect(await reader.streams("runs")).toEqual(["runs/2026/02/01.jsonl", "runs/2026/11/20.jsonl"])
      expect(await reader.streams("")).toEqual([stream, "runs/2026/02/01.jsonl", "runs/2026/11/20.jsonl"])
    }
  })

  it("refuses names that lead elsewhere, before anything is written", async () => {
    const ledger = open()
    const bad = ["../x.jsonl", "a/../../x.jsonl", "/x.jsonl", "a//x.jsonl", ".git.jsonl", ".git/x.jsonl"]
    for (const name of [...bad, "a\\b.jsonl", "x.json", "x.jsonl.gz", "a\0.jsonl", ""]) {
      const records = [stream, name].map((stream) => ({ stream, row: {} }))
      await expect(ledger.append(records)).rejects.toThrow()
      await expect(ledger.read(name)).rejects.toThrow("is no stream of a ledger")
    }
    await expect(ledger.streams("../..")).rejects.toThrow("is no folder of a ledger")
    expect(await open().read(stream)).toEqual([])
  })

  it("writes a header once a file, above the first row that needs it", async () => {
    const [one, two] = [{ columns: ["a"] }, { columns: ["a", "b"] }]
    const ledger = open()
    await ledger.append([
      { stream, row: [1], headers: [one] },
      { stream, row: [2], headers: [one] },
    ])
    await ledger.append([
      { stream, row: [3], headers: [one] },
      { stream, row: [4, 5], headers: [two] },
    ])
    await open().append([{ stream, row: [6, 7], headers: [two] }])
    const lines = ['{"columns":["a"]}', "[1]", "[2]", "[3]", '{"columns":["a","b"]}', "[4,5]", "[6,7]", ""]
    expect(String(await place().get(stream)).split("\n")).toEqual(lines)
  })

  it("reads files larger than a chunk, with rows across its borders", async () => {
    const ledger = open()
    const records = Array.from({ length: 3000 }, (_, n) => ({ stream, row: { n, pad: "é".repeat((n * 37) % 2000) } }))
    await ledger.append(records)
    expect(await ledger.read(stream)).toEqual(records.map(({ row }) => row))
  })
}

function describeWriters({ open, place }: Suite): void {
  it("loses and mixes no row when three processes write at once", async () => {
    const module = new URL("../../../lib/ledger/open.ts", import.meta.url).href
    const script = `
      import { openLedger } from ${JSON.stringify(module)}
      const [url, who] = process.argv.slice(1)
      for (let n = 0; n < 6; n++) {
        const ledger = openLedger(url)
        const row = { who, n, pad: "x".repeat(20_000) }
        await ledger.append([{ stream: "${stream}", row, headers: [{ columns: 1 }] }, { stream: "audit/" + who + ".jsonl", row: { n } }])
        await ledger.close()
      }`
    const writers = ["a", "b", "c"]
    const children = writers.map((who) =>
      spawn(process.execPath, ["--input-type=module", "-e", script, place().url, who], { stdio: "inherit" }),
    )
    const codes = await Promise.all(children.map(async (child) => (await once(child, "exit"))[0]))
    expect(codes).toEqual([0, 0, 0])
    const ledger = open()
    const rows = (await ledger.read(stream)) as { who: string; n: number }[]
    for (const who of writers) {
      expect(rows.filter((row) => row.who === who).map((row) => row.n)).toEqual([0, 1, 2, 3, 4, 5])
      expect(await ledger.read(`audit/${who}.jsonl`)).toHaveLength(6)
    }
  })
}

const full: Observation = {
  ...{ at: new Date("2026-11-19T23:59:59Z"), service: "the-checkout-service", by: "health", outcome: "fail" },
  ...{ class: "timeout at first byte", latencyMs: 10_001, totalMs: 10_002, status: 503, tries: 3, isCold: true },
  ...{ inMaintenance: true, cause: "supabase", version: "0123456789abcdef", numbers: { "pool waiting": 3.5 } },
}
const plain: Observation = { at: new Date("2026-11-20T00:00:01Z"), service: "api", by: "keep-warm", outcome: "ok" }

function describeObservations({ open }: Suite): void {
  it("gives back observations as they were, in order of time", async () => {
    await open().append(observationRecords([plain, full]))
    const ledger = open()
    const [from, to] = [new Date("2026-11-19T00:00:00Z"), new Date("2026-11-21T00:00:00Z")]
    expect(await readObservations(ledger, from, to)).toEqual([full, plain])
    expect(await readObservations(ledger, full.at, plain.at)).toEqual([full])
    expect(await readObservations(ledger, plain.at, to)).toEqual([plain])
  })
}

function describeRollUp({ open, warnings, place }: Suite): void {
  const day = (text: string) => new Date(`${text}T12:00:00Z`)
  const tick: LedgerRecord = { stream: "audit/main.jsonl", row: { tick: true } }

  it("compresses closed days with the next row, and reads them as before", async () => {
    const records = [full, plain].flatMap((one) => observationRecords([one]))
    await open({ now: day("2026-11-20") }).append(records)
    await open({ now: new Date("2026-11-21T05:59:00Z") }).append([tick])
    expect(await place().files()).toContain("observations/2026/11/20.jsonl")
    await open({ now: new Date("2026-11-21T06:00:00Z") }).append([tick])

    const files = await place().files()
    expect(files.filter((file) => file.startsWith("observations/"))).toEqual([
      "observations/2026/11/19.jsonl.gz",
      "observations/2026/11/20.jsonl.gz",
    ])
    expect(String(gunzipSync(await place().get("observations/2026/11/20.jsonl.gz")))).toMatch(/^\{"columns":/)
    const ledger = open()
    expect(await ledger.streams("observations")).toEqual([
      "observations/2026/11/19.jsonl",
      "observations/2026/11/20.jsonl",
    ])
    expect(await readObservations(ledger, day("2026-11-18"), day("2026-11-21"))).toEqual([full, plain])
  })

  it("takes rows that come late for a day that was compressed", async () => {
    const stream = "runs/2026/11/18.jsonl"
    await open({ now: day("2026-11-20") }).append([{ stream, row: { n: 1 } }])
    await open().append([{ stream, row: { n: 2 } }])
    expect(await open().read(stream)).toEqual([{ n: 1 }, { n: 2 }])
    await open({ now: day("2026-11-20") }).append([{ stream, row: { n: 3 } }])
    expect((await place().files()).filter((file) => file.startsWith("runs/"))).toEqual([`${stream}.gz`])
    expect(await open().read(stream)).toEqual([{ n: 1 }, { n: 2 }, { n: 3 }])
  })

  it("makes observations of 90 days ago daily tallies, once", async () => {
    const ledger = open({ now: day("2026-11-20") })
    await ledger.append(observationRecords([full, plain, { ...plain, latencyMs: 200 }]))
    const later = open({ now: day("2027-02-20") })
    await later.append([tick])
    await later.append([tick])
    const [from, to] = [day("2026-11-01"), day("2027-01-01")]
    expect(await readObservations(later, from, to)).toEqual([])
    const tallies = await readDailyTallies(later, from, to)
    expect(tallies.map(({ service, by, outcomes }) => [service, by, outcomes.ok + outcomes.fail])).toEqual([
      ["the-checkout-service", "health", 0],
      ["api", "keep-warm", 2],
    ])
    expect(tallies.map(({ inMaintenance, coldStarts }) => [inMaintenance, coldStarts])).toEqual([
      [1, 1],
      [0, 0],
    ])
    expect(await later.read("histograms/2026/11.jsonl")).toHaveLength(2)
    expect((await place().files()).filter((file) => file.startsWith("observations/"))).toEqual([])
    expect(warnings).toEqual([])
  })

  it("keeps of the runs of a busy job what was not green, and the first and the last, after 30 days", async () => {
    const stream = "runs/2026/11/20.jsonl"
    const run = (n: number) => ({
      id: `${n}`,
      job: "health",
      outcome: n === 50 ? "fail" : "ok",
      exitCode: n === 51 ? 3 : 0,
    })
    const backup = { id: "b", job: "backup", outcome: "ok", exitCode: 0 }
    const rows = [...Array.from({ length: 100 }, (_, n) => run(n)), backup]
    await open({ now: day("2026-11-20") }).append(rows.map((row) => ({ stream, row })))
    await open({ now: day("2026-11-21") }).append([tick])
    expect(await open().read(stream)).toEqual(rows)
    const kept = [run(0), { leftOut: { job: "health", greenRuns: 96 } }, run(50), run(51), run(99), backup]
    for (let times = 0; times < 2; times++) {
      await open({ now: day("2026-12-22") }).append([tick])
      expect(await open().read(stream)).toEqual(kept)
    }
  })
}
