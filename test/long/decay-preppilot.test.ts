import { readFile } from "node:fs/promises"
import { expect, it } from "vitest"
import { startTimer } from "../../lib/system/clock.ts"
import { makeWorld } from "../lib/decay/world.ts"
import { administer } from "../support/postgres.ts"

const part = (name: string) => readFile(`examples/preppilot/${name}.sql`, "utf8")

const rule = `{ name: "freshness", table: "fridge_items", column: "freshness", since: "updated_at",
  halfLife: { table: "ingredients", column: "half_life", by: "ingredient_id" }, where: "discarded_at is null",
  thresholds: [{ below: 0.2 }] }`

it("fades the fridge of PrepPilot by the half-life of each ingredient, as its own function says", async () => {
  await administer(await part("roles"))
  const world = await makeWorld(`${await part("schema")}; ${await part("seed")}`, rule)
  const [{ newest } = {}] = await world.query("select max(updated_at) as newest from fridge_items")
  const midnight = new Date(Math.ceil(Number(newest) / 86_400_000 + 2) * 86_400_000)
  await world.query(
    "create table before as select *, public.freshness_at(f, $1) as exact from fridge_items f".replace(
      "$1",
      `'${midnight.toISOString()}'`,
    ),
  )

  const elapsed = startTimer()
  const run = await world.run(midnight.toISOString())
  console.info({ rows: run.run.findings[0]?.facts?.considered, ms: Math.round(elapsed()) })
  expect(run.exitCode, run.run.summary).toBe(0)
  const changed = Number(run.run.findings[0]?.facts?.changed)
  expect(changed).toBeGreaterThan(30_000)

  // Whole steps are counted, so each value lies between the exact one and that of a step before.
  expect(
    await world.query(`select
      count(*) filter (where f.discarded_at is not null and f is distinct from (select x from fridge_items x where x.id = f.id))::int as odd,
      count(*) filter (where f.discarded_at is not null and f.freshness <> b.freshness)::int as outside,
      count(*) filter (where f.discarded_at is null and f.freshness < b.exact - 1e-12)::int as low,
      count(*) filter (where f.discarded_at is null and f.freshness > b.exact * 0.5 ^ (-86400 / extract(epoch from i.half_life)) + 1e-12)::int as high,
      count(*) filter (where f.updated_at <> b.updated_at)::int as moved,
      count(*) filter (where f.freshness <> b.freshness)::int as changed
    from fridge_items f join before b using (id) join ingredients i on i.id = f.ingredient_id`),
  ).toEqual([{ odd: 0, outside: 0, low: 0, high: 0, moved: 0, changed }])
  const twice = await world.run(midnight.toISOString())
  expect(twice.run.findings[0]?.detail).toContain("already applied")
})
