import { readdir } from "node:fs/promises"
import { join } from "node:path"
import { pathToFileURL } from "node:url"
import { nearest } from "../config/nearest.ts"
import { ConfigError } from "../core/config-error.ts"
import type { Job } from "./job.ts"

/** The names of the jobs of a checkout: its files `jobs/<name>.ts`, in order. Rejects with `ConfigError` when there is no such folder. */
export async function jobNames(root: string): Promise<string[]> {
  const files = await readdir(join(root, "jobs")).catch(() => {
    throw new ConfigError(`there is no folder jobs in ${root}: run this from the top of the checkout`)
  })
  return files
    .filter((file) => /^[a-z][a-z0-9-]*\.ts$/.test(file))
    .map((file) => file.slice(0, -3))
    .sort()
}

/** Loads the job of a name. Rejects with `ConfigError` when there is none; with the cause when its file does not load. */
export async function findJob(root: string, name: string): Promise<Job> {
  const names = await jobNames(root)
  if (!names.includes(name)) {
    const close = nearest(name, names)
    throw new ConfigError(
      `there is no job "${name}": ${close ? `did you mean ${close}?` : `there are: ${names.join(", ") || "none"}`}`,
    )
  }
  const file = join(root, "jobs", `${name}.ts`)
  const module: unknown = await import(/* @vite-ignore */ pathToFileURL(file).href).catch((cause: unknown) => {
    throw new Error(`jobs/${name}.ts cannot be loaded`, { cause })
  })
  const job = typeof module === "object" && module !== null && "default" in module ? module.default : undefined
  if (!isJob(job))
    throw new Error(`jobs/${name}.ts has no job as its default export: end it with export default defineJob({ … })`)
  if (job.name !== name)
    throw new Error(`jobs/${name}.ts holds a job of the name "${job.name}": file and job must have the same name`)
  return job
}

function isJob(value: unknown): value is Job {
  if (typeof value !== "object" || value === null) return false
  const texts = ["name", "about"].every((key) => typeof Reflect.get(value, key) === "string")
  return texts && ["config", "run"].every((key) => typeof Reflect.get(value, key) === "function")
}
