import { readdir, readFile } from "node:fs/promises"
import { join } from "node:path"
import { loadConfigOrDefaults } from "../config/commented-defaults.ts"
import { markedJobs, type StepVariable, writeMarkedBlocks } from "../github/workflow-env.ts"
import { stepNeeds } from "./alerts.ts"
import { findJob } from "./find.ts"

/** A workflow file of a checkout, as it is and as the configuration wants it. */
export type PlannedWorkflow = { file: string; text: string; wanted: string }

/**
 * The workflow files of a checkout, with the environment of each marked step written anew from `ops.config.ts` and what
 * its job asks for. Rejects with `ConfigError` when a block names a job that does not exist.
 */
export async function planWorkflows(root: string): Promise<PlannedWorkflow[]> {
  const ops = await loadConfigOrDefaults(join(root, "ops.config.ts"))
  const folder = join(root, ".github", "workflows")
  const files = (await readdir(folder)).filter((file) => /\.ya?ml$/.test(file)).sort()
  return await Promise.all(
    files.map(async (name) => {
      const file = join(folder, name)
      const text = await readFile(file, "utf8")
      const variables = new Map<string, StepVariable[]>()
      for (const job of markedJobs(text)) variables.set(job, stepNeeds(await findJob(root, job), ops))
      return { file, text, wanted: writeMarkedBlocks(text, variables) }
    }),
  )
}
