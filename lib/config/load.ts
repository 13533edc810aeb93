import { access } from "node:fs/promises"
import { pathToFileURL } from "node:url"
import { ConfigError } from "../core/config-error.ts"
import { errorText } from "../core/error-text.ts"
import { crossCheck } from "./cross-check.ts"
import { renderProblems } from "./problems.ts"
import { type AlertsConfig, alertsSchema, type OpsConfig, opsConfigSchema } from "./schema.ts"

/** Loads and checks a configuration file. Rejects with a `ConfigError` that has every problem of the file. */
export async function loadConfig(file: string): Promise<OpsConfig> {
  return parseConfig(await readConfig(file), file)
}

/** What the file exports, unchecked. Rejects with a `ConfigError` when it does not exist, load or export anything. */
export async function readConfig(file: string): Promise<unknown> {
  await access(file).catch((error: unknown) => {
    throw new ConfigError(`${file} cannot be read: ${errorText(error)}: create it, or name another with --config FILE`)
  })
  const module: unknown = await import(/* @vite-ignore */ pathToFileURL(file).href).catch((error: unknown) => {
    throw new ConfigError(`${file} cannot be loaded: ${errorText(error)}`)
  })
  if (typeof module === "object" && module !== null && "default" in module) return module.default
  throw new ConfigError(`${file} has no default export: end it with export default defineConfig({ … })`)
}

/** Checks what `readConfig` gave. Throws a `ConfigError` with every problem; `file` is named when there is only one to name. */
export function parseConfig(input: unknown, file: string): OpsConfig {
  const parsed = opsConfigSchema.safeParse(input)
  const problems = [...(parsed.success ? [] : renderProblems(parsed.error, input)), ...crossCheck(input)]
  if (problems.length > 0 || !parsed.success) throw new ConfigError(problems.map((problem) => `${file}: ${problem}`))
  return parsed.data
}

/** The alerts of a configuration whose other parts may be wrong; `undefined` when they are wrong too. */
export function salvageAlerts(input: unknown): AlertsConfig | undefined {
  if (typeof input !== "object" || input === null) return undefined
  const parsed = alertsSchema.safeParse(Reflect.get(input, "alerts") ?? {})
  return parsed.success ? parsed.data : undefined
}
