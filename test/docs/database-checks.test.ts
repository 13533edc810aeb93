import { existsSync, readFileSync } from "node:fs"
import { describe, expect, it } from "vitest"
import { careChecks, renderChecksReference } from "../../lib/dbcare/all-checks.ts"

describe("docs/database-checks.md", () => {
  it("has the table of all checks", () => {
    expect(readFileSync("docs/database-checks.md", "utf8")).toContain(renderChecksReference(careChecks))
  })

  it("leads to a runbook for each, which names it", () => {
    for (const { name } of careChecks) {
      const page = `docs/runbooks/database-${name}.md`
      expect(existsSync(page), page).toBe(true)
      expect(readFileSync(page, "utf8"), page).toContain(`--check ${name}`)
    }
  })
})

it("every check has a name of its own, in small letters", () => {
  const names = careChecks.map(({ name }) => name)
  expect(new Set(names).size).toBe(names.length)
  expect(names.filter((name) => !/^[a-z][a-z-]+$/.test(name))).toEqual([])
})
