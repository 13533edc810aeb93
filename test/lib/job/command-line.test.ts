import { describe, expect, it } from "vitest"
import { z } from "zod"
import { duration } from "../../../lib/config/fields.ts"
import { parseCommandLine, splitName } from "../../../lib/job/command-line.ts"
import { renderHelp } from "../../../lib/job/help.ts"
import { defineJob } from "../../../lib/job/job.ts"

const schema = z.strictObject({
  set: z.string().optional().describe("which set to restore"),
  maxRows: z.int({ error: "a whole number" }).default(1000).describe("how many rows to show"),
  olderThan: duration().optional().describe("how old"),
  keepFiles: z.boolean().default(false).describe("leave the files"),
  table: z.array(z.string()).default([]).describe("only this table"),
  target: z.enum(["scratch", "other"]).default("scratch").describe("where to"),
})

describe("the arguments of a job", () => {
  it("names everything that is wrong at once", () => {
    const { problems } = parseCommandLine(
      [
        "--dry-rum",
        "--json=yes",
        "--config",
        "--max-rows",
        "many",
        "--now",
        "soon",
        "--target=moon",
        "stray",
        "-x",
        "--slot",
      ],
      schema,
    )
    expect(problems).toEqual([
      "there is no option --dry-rum: did you mean --dry-run?",
      "--json takes no value",
      "--config needs a value: write --config=VALUE",
      '"many" is one argument too many: options begin with --',
      '"stray" is one argument too many: options begin with --',
      "there is no option -x: --help lists them",
      "--slot needs a value: write --slot=VALUE",
      '--now is "soon": it takes a time such as 2026-03-01T03:17Z',
      expect.stringMatching(/^--target: /),
    ])
  })

  it("says which option has the wrong kind of value, and which is missing", () => {
    const required = z.strictObject({
      set: z.string({ error: "the name of a set" }),
      rows: z.int({ error: "a whole number" }),
    })
    expect(parseCommandLine(["--rows", "1.5"], required).problems).toEqual([
      "--set is missing: the name of a set",
      "--rows: a whole number",
    ])
  })

  it("takes decimal numbers only, as people write them", () => {
    const schema = z.strictObject({ rows: z.int({ error: "a whole number" }) })
    for (const text of ["0x10", "1e3", "0b1", "1_000", "Infinity", ".5", "1.", "١"])
      expect(parseCommandLine([`--rows=${text}`], schema).problems, text).toEqual(["--rows: a whole number"])
    expect(parseCommandLine(["--rows=1000"], schema)).toMatchObject({ options: { rows: 1000 }, problems: [] })
  })

  it("reads numbers, switches, lists, durations and times", () => {
    const command = parseCommandLine(
      [
        "--max-rows=-5",
        "--keep-files",
        "--table",
        "a",
        "--table",
        "b",
        "--older-than",
        "3 days",
        "--now",
        "2026-03-01T03:17Z",
        "--dry-run",
      ],
      schema,
    )
    expect(command).toMatchObject({ problems: [], dryRun: true, json: false, now: new Date("2026-03-01T03:17:00Z") })
    expect(command.options).toEqual({
      ...{ maxRows: -5, keepFiles: true, table: ["a", "b"], target: "scratch" },
      olderThan: { text: "3 days", ms: 259_200_000 },
    })
  })

  it("refuses what is given twice, and a job's options where the job has none", () => {
    expect(parseCommandLine(["--now=2026-03-01", "--now=2026-03-02"]).problems).toEqual(["--now was given twice"])
    expect(parseCommandLine(["--set=a"]).problems).toEqual(["there is no option --set: did you mean --slot?"])
  })

  it("finds the job's name wherever it stands", () => {
    expect(splitName(["backup", "--dry-run"])).toEqual({ name: "backup", rest: ["--dry-run"] })
    expect(splitName(["--config", "other.ts", "backup"])).toEqual({ name: "backup", rest: ["--config", "other.ts"] })
    expect(splitName(["--dry-run", "backup"])).toEqual({ name: "backup", rest: ["--dry-run"] })
    expect(splitName(["--json"])).toEqual({ rest: ["--json"] })
  })
})

it("explains every option of a job", () => {
  const help = renderHelp(
    defineJob({
      name: "restore",
      about: "Restore a set",
      options: schema,
      config: () => ({}),
      run: async () => ({ summary: "", findings: [] }),
    }),
  )
  expect(help).toContain("Restore a set")
  expect(help).toMatch(/--set VALUE +which set to restore\n/)
  expect(help).toMatch(/--max-rows VALUE +how many rows to show \(1000 unless told\)\n/)
  expect(help).toMatch(/--keep-files +leave the files\n/)
  expect(help).toMatch(/--target VALUE +where to \(scratch or other\) \("scratch" unless told\)\n/)
  expect(help).toMatch(/--table VALUE +only this table .*\(may be given several times\)\n/)
  expect(help).toMatch(/--dry-run +show what would be done/)
})
