import { readFile } from "node:fs/promises"
import { PassThrough } from "node:stream"
import { text } from "node:stream/consumers"
import { describe, expect, it } from "vitest"
import { readWorkflow } from "../../lib/github/workflow-file.ts"
import { runCommandLine } from "../../lib/job/cli.ts"
import { reportWarmth } from "../../lib/service/warm-report.ts"
import { makeCheckout, moduleUrl } from "../support/checkout.ts"
import { dayMs, minuteMs, pinged, settings } from "../support/warm.ts"

const page = await readFile("docs/keep-warm.md", "utf8")
const workflow = await readWorkflow(".github/workflows/pulse.yml")

describe("docs/keep-warm.md", () => {
  it("tells the cron of the pulse, and what it bills", () => {
    expect(workflow.crons).toEqual(["7,37 * * * *"])
    const [minutes = ""] = workflow.crons
    const runs = (minutes.split(" ")[0]?.split(",").length ?? 0) * 24 * 30
    expect(page).toContain(`\`${minutes}\`, makes ${runs.toLocaleString("en-US")} a month`)
  })

  it("has a table that is true of a clock that keeps its time", () => {
    const rows = [...page.matchAll(/^\| (\d+) minutes \| (\d+) % \| ([\d,]+) \|$/gm)].map(([, ...cells]) => cells)
    expect(rows).toHaveLength(4)
    const from = Date.parse("2026-03-01T00:00Z")
    for (const [minutes, share, billed] of rows) {
      const everyMs = Number(minutes) * minuteMs
      const pings = Array.from({ length: Math.ceil((30 * dayMs) / everyMs) }, (_, index) =>
        pinged(from + index * everyMs),
      )
      const { warmMs, activeMs } = reportWarmth(settings(), pings, new Date(from), new Date(from + 30 * dayMs))
      expect(`${minutes}: ${Math.floor((100 * warmMs) / activeMs)}`).toBe(`${minutes}: ${share}`)
      expect(pings.length.toLocaleString("en-US")).toBe(billed)
    }
  })

  it("has a configuration and commands that work as they stand", async () => {
    const [, services = ""] = /^```ts\n([\s\S]*?)^```$/m.exec(page) ?? []
    const commands = [...page.matchAll(/^npm run (?:-s )?job -- (.*?)(?: > \S+)?$/gm)].map(
      ([, command = ""]) => command,
    )
    expect(commands).toHaveLength(5)
    await using checkout = await makeCheckout(`app: { name: "Shop" }, ${services}`)
    await checkout.write(
      "jobs/keep-warm.ts",
      `export { default } from ${JSON.stringify(moduleUrl("jobs/keep-warm.ts"))}\n`,
    )
    for (const command of commands) {
      const { exitCode, stdout } = await type(command, checkout.dir)
      expect(exitCode, command).toBe(0)
      expect(stdout, command).toMatch(/api|\/health/)
    }
  })
})

describe("docs/runbooks/keep-warm.md", () => {
  it("quotes what the code says", async () => {
    const runbook = await readFile("docs/runbooks/keep-warm.md", "utf8")
    const files = ["gateway-page", "ping", "warm-plan", "keep-warm"].map((name) =>
      readFile(`lib/service/${name}.ts`, "utf8"),
    )
    const code = (await Promise.all(files)).join("\n").replaceAll(/\$\{[^}]*\}/g, "…")
    const quoted = [...runbook.matchAll(/^\| (`[^|]*`) \|/gm)].flatMap(([, cell = ""]) => cell.match(/`[^`]+`/g) ?? [])
    const words = quoted
      .map((one) => one.slice(1, -1).replaceAll("…", "").trim())
      .filter((one) => !/^\d+$|answered 401|^"" is not/.test(one))
    expect(words.length).toBeGreaterThan(9)
    expect(
      words.filter((word) => !code.includes(word) && !code.includes(word.replace("Render answered", "… answered"))),
    ).toEqual([])
  })
})

async function type(command: string, root: string): Promise<{ exitCode: number; stdout: string }> {
  const [stdout, stderr] = [new PassThrough(), new PassThrough()]
  const [out] = [text(stdout), text(stderr)]
  const exitCode = await runCommandLine({ argv: command.split(" "), env: {}, root, stdout, stderr })
  stdout.end()
  stderr.end()
  return { exitCode, stdout: await out }
}
