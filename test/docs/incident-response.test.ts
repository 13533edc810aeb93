import { readFileSync } from "node:fs"
import { describe, expect, it } from "vitest"
import { parseCommand } from "../../lib/incident/commands.ts"
import { renderSeverities } from "../../lib/incident/severity-table.ts"

const page = readFileSync("docs/incident-response.md", "utf8")

describe("docs/incident-response.md", () => {
  it("shows the severities and reaction times that the code goes by", () => {
    const [, shown] = /<!-- severities:.*-->\n([\s\S]*)\n<!-- \/severities -->/.exec(page) ?? []
    expect(shown).toBe(renderSeverities())
  })

  it("shows commands that are understood", () => {
    const commands = [...page.matchAll(/^\| `(\/[^`]+)` \|/gm)].map(([, command = ""]) => command)
    expect(commands).toHaveLength(3)
    for (const command of commands) expect(parseCommand(command)).toHaveProperty("command")
  })
})
