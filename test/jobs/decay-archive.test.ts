import { expect, it } from "vitest"
import { setup } from "../support/night.ts"

it("rows that faded are archived sealed before they leave, and come back as they were", async () => {
  const night = await setup({
    sql: `create table items (id int primary key, value double precision not null, at timestamptz not null, note text);
      insert into items select i, 1, '2026-01-10Z'::timestamptz - i * interval '1 day', 'note ' || i from generate_series(1, 100) i`,
    settings: `writeUrl: secret("DATABASE_WRITE_URL"), verifiedBackupWithin: false,
      decay: [{ name: "fading", table: "items", column: "value", base: 1, since: "at", halfLife: "10 days",
                thresholds: [{ below: 0.002, action: "archive" }] }],`,
  })
  const env = { DATABASE_WRITE_URL: night.database.url }
  const done = await night.run("decay", "2026-01-10T04:37:00Z", env)
  expect(done.run.findings.filter(({ outcome }) => outcome === "fail")).toEqual([])
  const gone = await night.database.query("select count(*)::int as kept, max(id)::int as oldest from items")
  expect(gone).toEqual([{ kept: 89, oldest: 89 }])
  const again = await night.run("decay", "2026-01-10T05:37:00Z", env)
  expect(again.exitCode).toBe(0)

  const into = ["--rule", "fading at 0.002 or less", "--into", "faded"]
  const back = await night.run("restore-archive", "2026-01-11T09:00:00Z", env, into)
  expect(back.exitCode, back.stderr).toBe(0)
  const rows = await night.database.query("select id, value, note from faded order by id")
  expect(rows).toHaveLength(11)
  expect(rows[0]).toEqual({ id: 90, value: 0.5 ** 9, note: "note 90" })
  await night.database.query(back.stdout)
  expect(await night.database.query("select count(*)::int as n from items")).toEqual([{ n: 100 }])
})
