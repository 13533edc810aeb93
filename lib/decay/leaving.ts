import { type CleanupConfig, cleanupSchema } from "../config/cleanup-schema.ts"
import type { DecayConfig } from "../config/decay-schema.ts"
import { quoteName } from "../postgres/name.ts"

/** Rows that leave their table at a threshold, as a rule of the cleanup; `index` is the place of the decay rule. */
export type LeavingRule = { index: number; decayRule: string; config: CleanupConfig }

/** What the thresholds with `archive` and `delete` mean in the words of the cleanup, which plans, caps and applies them. Pure. */
export function leavingRules(rules: readonly DecayConfig[]): LeavingRule[] {
  return rules.flatMap(({ name, table, column, where, thresholds, timezone }, index) =>
    thresholds.flatMap(({ below, action }) => {
      if (action !== "archive" && action !== "delete") return []
      const fallen = `${quoteName(column)} <= ${below}`
      const condition = where === undefined ? fallen : `(\n${where}\n) and ${fallen}`
      const config = { name: `${name} at ${below} or less`, table, where: condition, action, timezone }
      return { index, decayRule: name, config: cleanupSchema.parse(config) }
    }),
  )
}
