import { parsePostgresUrl } from "../../lib/postgres/address.ts"
import { withClient } from "../../lib/postgres/connect.ts"
import { applyRows } from "../../lib/retention/apply.ts"
import { applyContext, planOf, type RowsOf } from "./cleanup-plan.ts"

/*
 * Applies a rule in a process of its own, which a test can kill. Arguments: the database's URL, the rule and the pace, both as JSON.
 */
const [url = "", rule = "", pace = "{}"] = process.argv.slice(2)
const address = parsePostgresUrl(url, "DATABASE_WRITE_URL")
await withClient(address, { applicationName: "nightshift/cleanup", statementTimeoutMs: 0 }, async (client) => {
  const plan = await planOf(client, JSON.parse(rule) as RowsOf)
  console.log(JSON.stringify(await applyRows(plan, applyContext(client, { pace: JSON.parse(pace) }))))
})
