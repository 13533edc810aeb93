import { readFileSync } from "node:fs"
import { builtinModules } from "node:module"
import path from "node:path"
import { describe, expect, it } from "vitest"
import { importsOf, sourceFiles } from "./source-files.ts"

const adapters = ["postgres", "store", "seal", "ledger", "incident", "notify", "github"]
const domains = ["backup", "service", "slo", "retention", "decay", "dbcare", "report"]

/** What the files of each folder of lib may import, besides their own folder. Imports point down only. */
const below: Record<string, string[]> = {
  core: [],
  config: ["core"],
  system: ["core"],
  ...Object.fromEntries(adapters.map((adapter) => [adapter, ["system", "core"]])),
  incident: ["notify", "github", "system", "core"],
  ...Object.fromEntries(domains.map((domain) => [domain, ["config", ...adapters, "system", "core"]])),
  report: ["slo", "backup", "config", ...adapters, "system", "core"],
  job: ["config", "ledger", "incident", "notify", "github", "system", "core"],
  setup: [],
}

const files = sourceFiles(["lib", "jobs"]).concat(sourceFiles(["lib"], ".mjs"))
const imports = files.flatMap(({ file, text }) => importsOf(text).map((specifier) => ({ file, specifier })))
const relative = imports
  .filter(({ specifier }) => specifier.startsWith("."))
  .map(({ file, specifier }) => ({ file, target: path.posix.join(path.posix.dirname(file), specifier) }))

describe("imports", () => {
  it("are found at all", () => {
    expect(relative.length).toBeGreaterThan(50)
  })

  it("name a file with its ending", () => {
    expect(imports.filter(({ specifier }) => specifier.startsWith(".") && !/\.(ts|mjs)$/.test(specifier))).toEqual([])
  })

  it("of lib point down only", () => {
    const wrong = relative.filter(({ file, target }) => {
      const [top, folder = ""] = file.split("/")
      const [targetTop, targetFolder = ""] = target.split("/")
      if (top !== "lib" || (targetTop === "lib" && targetFolder === folder)) return false
      return targetTop !== "lib" || !below[folder]?.includes(targetFolder)
    })
    expect(wrong).toEqual([])
  })

  it("of a job never reach another job", () => {
    expect(relative.filter(({ file, target }) => file.startsWith("jobs/") && !target.startsWith("lib/"))).toEqual([])
  })

  it("of core and of the set-up need nothing that is installed; core not even Node", () => {
    const outside = imports.filter(({ specifier }) => !specifier.startsWith("."))
    expect(outside.filter(({ file }) => file.startsWith("lib/core/"))).toEqual([])
    const packages = outside.filter(({ file, specifier }) => file.startsWith("lib/setup/") && !isBuiltIn(specifier))
    expect(packages).toEqual([])
  })

  it("of what runs at night are dependencies, not development dependencies", () => {
    const { dependencies } = JSON.parse(readFileSync("package.json", "utf8"))
    const packages = imports.filter(({ specifier }) => !specifier.startsWith(".") && !isBuiltIn(specifier))
    const missing = packages.filter(({ specifier }) => !(packageOf(specifier) in dependencies))
    expect(missing).toEqual([])
    const used = new Set(packages.map(({ specifier }) => packageOf(specifier)))
    const loader = "tsx" // what the steps of the workflows run Node with
    expect(Object.keys(dependencies).filter((name) => name !== loader && !used.has(name))).toEqual([])
  })

  it("of every folder of lib are ruled here", () => {
    const folders = new Set(files.flatMap(({ file }) => (file.startsWith("lib/") ? [file.split("/")[1]] : [])))
    expect([...folders].filter((folder) => !(folder && folder in below))).toEqual([])
  })
})

function isBuiltIn(specifier: string): boolean {
  return specifier.startsWith("node:") && builtinModules.includes(specifier.slice("node:".length))
}

function packageOf(specifier: string): string {
  return specifier.split("/", specifier.startsWith("@") ? 2 : 1).join("/")
}
