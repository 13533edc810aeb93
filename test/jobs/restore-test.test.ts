import { describe, expect, it } from "vitest"
import { setup } from "../support/night.ts"

describe("restore-test", () => {
  it("says that there is no backup when there is none", async () => {
    const night = await setup()
    const { run, exitCode } = await night.run("restore-test", "2026-03-01T04:17:00Z")
    expect(exitCode).toBe(1)
    expect(run.findings).toMatchObject([{ subject: "database/main/restore-test", outcome: "fail" }])
    expect(run.summary).toContain("no committed backup set of main")
  })

  it("proves a backup", async () => {
    const night = await setup({
      sql: "create table notes (id int primary key, body text); insert into notes select i, 'note ' || i from generate_series(1, 500) i",
    })
    const backup = await night.run("backup", "2026-03-01T03:17:00Z")
    expect(backup.run.findings, backup.stderr).toMatchObject([{ outcome: "ok" }, { outcome: "warn" }])
    const { run, exitCode, stderr } = await night.run("restore-test", "2026-03-01T04:17:00Z")
    expect(run.findings, stderr).toMatchObject([{ outcome: "ok" }])
    expect(exitCode).toBe(0)
  })
})
