import { readFileSync } from "node:fs"
import { describe, expect, it } from "vitest"
import { linesWith, sourceFiles } from "./source-files.ts"

const production = sourceFiles(["lib", "jobs"])
const everything = [...production, ...sourceFiles(["test", "examples"])]

const swallowed = {
  silently: /\bcatch\s*(\([^)]*\))?\s*\{\s*\}|\.catch\(\s*\(\w*\)\s*=>\s*\{\s*\}\s*\)/g,
  deliberately: /\.catch\(\s*\(\w*\)\s*=>\s*(undefined|null)\s*\)/g,
}

/** Everything but files whose path begins so. */
const outside = (...places: string[]) =>
  production.filter(({ file }) => !places.some((place) => file.startsWith(place)))

describe("production code", () => {
  it("asks for the time and for chance only in the runner and in lib/system", () => {
    const pattern = /\bnew Date\(\)|\bDate\.now\(|\bMath\.random\(|\bperformance\.now\(/g
    expect(linesWith(outside("lib/system/", "lib/job/runner.ts"), pattern)).toEqual([])
  })

  it("reads the environment and the arguments, and ends the process, in lib/job/main.ts and lib/system only", () => {
    const pattern = /\bprocess\.(env|argv|exit|exitCode|on|once|stdout|stderr|chdir)\b/g
    expect(linesWith(outside("lib/job/main.ts", "lib/system/"), pattern)).toEqual([])
  })

  it("knows nothing of tests", () => {
    expect(linesWith(production, /\b(NODE_ENV|VITEST|import\.meta\.(vitest|env))\b/g)).toEqual([])
  })

  it("swallows no error without a word", () => {
    expect(linesWith(production, swallowed.silently)).toEqual([])
    const ignored = linesWith(production, swallowed.deliberately)
    expect(ignored.filter((place) => !isExplained(place))).toEqual([])
  })
})

describe("all code", () => {
  it("has no any, and silences neither compiler nor linter", () => {
    expect(linesWith(everything, /(?<=[:<|,&]\s*|\bas\s+)any\b(?!\s*[:(])|\bany\[\]/g)).toEqual([])
    const silenced = everything.flatMap(
      ({ text }) => text.match(/\/\/ (@ts-(ignore|expect-error|nocheck)|biome-ignore).*/g) ?? [],
    )
    const allowed = /^\/\/ biome-ignore lint\/suspicious\/noControlCharactersInRegex: \w/
    expect(silenced.filter((words) => !allowed.test(words))).toEqual([])
    expect(JSON.parse(readFileSync("biome.json", "utf8"))).toMatchObject({
      linter: { rules: { suspicious: { noExplicitAny: "error" } } },
    })
  })

  it("mocks no module, and skips or singles out no test", () => {
    expect(linesWith(everything, /\bvi\.(mock|doMock|stubGlobal|spyOn)\b/g)).toEqual([])
    const pattern = /\b(it|test|describe|bench)(\.\w+)*\.(skip|only|todo|skipIf|runIf|fails)\b|\bctx\.skip\(/g
    expect(linesWith(everything, pattern)).toEqual([])
  })
})

describe("these rules", () => {
  it("see what they look for", () => {
    const code = "try { a() } catch {\n}\nb().catch(() => {})\nc().catch(() => undefined)"
    const file = { file: "a.ts", text: code, code }
    expect(linesWith([file], swallowed.silently)).toEqual(["a.ts:1", "a.ts:3"])
    expect(linesWith([file], swallowed.deliberately)).toEqual(["a.ts:4"])
  })
})

/** A comment on the line, or a few lines above, as of the function. */
function isExplained(place: string): boolean {
  const [file = "", line] = place.split(":")
  const lines = readFileSync(file, "utf8").split("\n")
  return lines.slice(Math.max(0, Number(line) - 8), Number(line)).some((text) => /\/\/ |\*\//.test(text))
}
