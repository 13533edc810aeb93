import { type CleanupConfig, cleanupSchema } from "../../lib/config/cleanup-schema.ts"
import { ConfigError } from "../../lib/core/config-error.ts"
import { parsePostgresUrl } from "../../lib/postgres/address.ts"
import { withClient } from "../../lib/postgres/connect.ts"
import { withTransaction } from "../../lib/postgres/transaction.ts"
import type { CleanupPlan } from "../../lib/retention/contract.ts"
import { readHolds } from "../../lib/retention/holds.ts"
import { type PlanOptions, planRule } from "../../lib/retention/plan.ts"
import { prepareRule } from "../../lib/retention/prepare.ts"
import type { TestDatabase } from "./postgres.ts"

/** When the runs of these tests are. */
export const slot = new Date("2026-06-15T04:00:00Z")

type Rule = { table: string; [setting: string]: unknown }
type Options = Partial<PlanOptions> & { url?: string }

export const parseRule = (rule: Rule): CleanupConfig => cleanupSchema.parse({ name: "rule", maxShare: 100, ...rule })

/** The plan of one rule, as the job makes it. */
export function planOf(database: TestDatabase, rule: Rule, { url, ...options }: Options = {}): Promise<CleanupPlan> {
  const address = parsePostgresUrl(url ?? database.url, "DATABASE_URL")
  return withClient(address, { applicationName: "tests" }, async (client) => {
    const at = options.slot ?? slot
    const prepared = await withTransaction(client, { isolation: "repeatable read", readOnly: true }, async () => {
      const { exists } = await readHolds(client, at)
      return prepareRule(client, parseRule(rule), { slot: at, hasHolds: exists })
    })
    return planRule(client, prepared, { slot: at, allowLarge: false, showsKeys: true, ...options })
  })
}

/** The problems of a rule that does not fit the database. */
export async function problemsOf(database: TestDatabase, rule: Rule): Promise<readonly string[]> {
  try {
    await planOf(database, rule)
    return []
  } catch (error) {
    if (error instanceof ConfigError) return error.problems
    throw error
  }
}

/** The rows that a plan's condition is true for, as `id`s in order. */
export async function matching(database: TestDatabase, plan: CleanupPlan): Promise<unknown[]> {
  const { table, condition, values, orderBy } = plan.selection
  const rows = await database.query(
    `select t.id from "${table.schema}"."${table.name}" t where ${condition} order by ${orderBy.join(", ") || "t.id"}`,
    values,
  )
  return rows.map(({ id }) => id)
}
