import { careSchema } from "../../lib/config/care-schema.ts"
import type { CareCheck, CareItem, CareSample, CheckResult } from "../../lib/dbcare/check.ts"
import { runChecks } from "../../lib/dbcare/run-checks.ts"
import { type PostgresAddress, parsePostgresUrl } from "../../lib/postgres/address.ts"

export type Asked = {
  warn?: number
  fail?: number
  now?: Date
  earlier?: CareSample[]
  exposedSchemas?: string[]
}

export type Done = Extract<CheckResult, { status: "done" }>

/** What a check says of a database, asked as the daily job asks it. */
export async function askCheck(check: CareCheck, at: PostgresAddress | string, asked: Asked = {}) {
  const { now = new Date(), earlier = [], exposedSchemas, ...tuned } = asked
  const settings = careSchema.parse({ checks: { [check.name]: tuned }, ...(exposedSchemas && { exposedSchemas }) })
  const address = typeof at === "string" ? parsePostgresUrl(at, "DATABASE_URL") : at
  const order = { address, checks: [check], settings, now, earlier, signal: AbortSignal.timeout(60_000) }
  const [report] = await runChecks(order)
  if (!report) throw new Error("there is a report for each check")
  return report.result
}

/** The same of a check that must be able to look. */
export async function askDone(...all: Parameters<typeof askCheck>): Promise<Done> {
  const result = await askCheck(...all)
  if (result.status !== "done") throw new Error(`${result.status}: ${result.reason}`)
  return result
}

/** What it found. */
export async function itemsOf(...all: Parameters<typeof askCheck>): Promise<CareItem[]> {
  return (await askDone(...all)).items
}

/** Names of what it found, worst first. */
export async function namesOf(...all: Parameters<typeof askCheck>): Promise<string[]> {
  return (await itemsOf(...all)).map(({ item }) => item)
}
