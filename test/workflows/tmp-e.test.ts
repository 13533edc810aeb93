import { it } from "vitest"
import { runWorkflow } from "../support/workflow-runner.ts"
it("x", async () => {
  console.time("run")
  const run = await runWorkflow("/tmp/e/root/.github/workflows/backup.yml", { event: "schedule", root: "/tmp/e/root", vars: { OPS_ENABLED: "true", POSTGRES_MAJOR: "15" } })
  console.timeEnd("run")
  console.log(run.runName, JSON.stringify(run.jobs, (k, v) => k === "env" ? undefined : v, 1))
}, 120000)
