import { resolve } from "node:path"
import { z } from "zod"
import type { CareConfig } from "../lib/config/care-schema.ts"
import type { Environment } from "../lib/config/environment.ts"
import type { OpsConfig } from "../lib/config/schema.ts"
import { ConfigError } from "../lib/core/config-error.ts"
import type { Finding } from "../lib/core/finding.ts"
import { careChecks } from "../lib/dbcare/all-checks.ts"
import { careRecord, lookOfLastWeek, readLooks } from "../lib/dbcare/care-ledger.ts"
import { renderChecksPage } from "../lib/dbcare/checks-page.ts"
import { chooseChecks, chooseTargets, unknownCheckProblems } from "../lib/dbcare/choose.ts"
import { judgeChecks, judgeReached, judgeUnreachable, summarizeChecks } from "../lib/dbcare/judge-checks.ts"
import { runChecks } from "../lib/dbcare/run-checks.ts"
import { defineJob } from "../lib/job/job.ts"
import type { LedgerRecord } from "../lib/ledger/ledger.ts"
import { type PostgresAddress, parsePostgresUrl } from "../lib/postgres/address.ts"

const options = z.strictObject({
  database: z.string().optional().describe("look at this database only"),
  check: z.array(z.string()).optional().describe("ask this question only; may be given several times"),
})

/** Daily: asks each database how it is, changes nothing, and says what to do about what it found, with the statements that do it. */
export default defineJob({
  name: "database",
  about: "Check each database: connections, age, bloat, indexes, constraints, row security, limits of the plan",
  impact: "nobody looks at the database: limits and slow decay go unnoticed",
  observer: true,
  options,
  config: (ops, env) => ({ databases: targets(ops, env) }),

  async run({ config, options, now, dryRun, ledger, signal, run }) {
    const checks = chooseChecks(careChecks, options.check)
    const databases = chooseTargets(config.databases, options.database)
    const problems = databases.flatMap(({ database, settings }) => unknownCheckProblems(database, settings, careChecks))
    if (problems.length > 0) throw new ConfigError(problems)
    const findings: Finding[] = []
    const records: LedgerRecord[] = []
    const pages: string[] = []
    for (const { database, address, settings } of databases) {
      const earlier = await readLooks(ledger, database, now)
      try {
        const reports = await runChecks({ address, checks, settings, now, earlier, signal })
        const lastWeek = lookOfLastWeek(earlier, now)?.found
        const judged = judgeChecks(database, reports, { settings, now, lastWeek })
        findings.push(judgeReached(database, reports), ...judged.map(({ finding }) => finding))
        pages.push(renderChecksPage(database, judged))
        if (!dryRun) records.push(careRecord(database, reports, now, run.id))
      } catch (error) {
        signal.throwIfAborted()
        findings.push(judgeUnreachable(database, error))
      }
    }
    return { summary: summarizeChecks(findings), findings, records, page: pages.join("\n") }
  },
})

type Target = { database: string; address: PostgresAddress; settings: CareConfig }

function targets(ops: OpsConfig, env: Environment): Target[] {
  return Object.entries(ops.databases).map(([database, { url, caFile, care }]) => {
    const ca = caFile === undefined ? {} : { caFile: resolve(caFile) }
    const address = env.parsedSecret(url, (text, name) => parsePostgresUrl(text, name, ca))
    return { database, address, settings: care }
  })
}
