import type { OpsConfigInput } from "./schema.ts"

export { secret, variable } from "./setting-ref.ts"

/** Returns what it was given. Only there so that an editor knows every setting; problems are found when it is loaded. */
export function defineConfig(input: OpsConfigInput): OpsConfigInput {
  return input
}
