import { it } from "vitest"
import { startTimer } from "/work/main/lib/system/clock.ts"
import { makeWorld } from "/work/main/test/lib/decay/world.ts"
it("bench", async () => {
  const world = await makeWorld(`create table kinds (id int primary key, half interval); insert into kinds select n, make_interval(hours => 24 + n) from generate_series(1,400) n;
   create table items (id bigint generated always as identity primary key, value double precision not null, at timestamptz not null, kind int not null, pad text default repeat('x', 60));
   insert into items (value, at, kind) select random(), timestamptz '2026-01-01' - n * interval '1 second', 1 + n % 400 from generate_series(1, 1000000) n; analyze items;`,
   `{ name: "f", table: "items", column: "value", since: "at", halfLife: { table: "kinds", column: "half", by: "kind" }, thresholds: [{ below: 0.1 }] }`)
  let t = startTimer()
  const dry = await world.run("2026-01-02T04:00Z", "--dry-run")
  console.log("dry", Math.round(t()), dry.exitCode); t = startTimer()
  const run = await world.run("2026-01-02T04:00Z")
  console.log("real", Math.round(t()), run.exitCode, run.run.findings[0]?.detail)
  console.log(dry.stdout)
}, 300000)
