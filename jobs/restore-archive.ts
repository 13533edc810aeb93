import { resolve } from "node:path"
import { z } from "zod"
import { secret } from "../lib/config/define.ts"
import type { Environment } from "../lib/config/environment.ts"
import { instant, tableName, whole } from "../lib/config/fields.ts"
import type { OpsConfig } from "../lib/config/schema.ts"
import { ConfigError } from "../lib/core/config-error.ts"
import { formatCounted } from "../lib/core/size.ts"
import { defineJob } from "../lib/job/job.ts"
import { parsePostgresUrl } from "../lib/postgres/address.ts"
import { withExclusiveSession } from "../lib/postgres/exclusive.ts"
import { parseTableName } from "../lib/postgres/name.ts"
import { restoreArchive } from "../lib/retention/restore-archive.ts"
import { judgeRestoredArchive, renderRestoredArchive } from "../lib/retention/restore-archive-page.ts"
import { parseIdentities } from "../lib/seal/recipients.ts"
import { openStore } from "../lib/store/open.ts"

const options = z.strictObject({
  database: z.string().optional().describe("the database, where there are several"),
  rule: z.string({ error: "the name of a cleanup rule" }).describe("the cleanup rule whose archives are brought back"),
  into: tableName().describe("a new table to load them into, such as archive_messages"),
  from: instant().optional().describe("archives of slots from this time on"),
  to: instant().optional().describe("archives of slots before this time"),
  folder: z.string().optional().describe("the archive of one run, by the name of its folder"),
  part: whole(1, 1_000_000_000, "the number of a part").optional().describe("one part alone"),
  append: z.boolean().default(false).describe("load into a table that exists, what of it was not loaded there before"),
  includeUnconfirmed: z.boolean().default(false).describe("take parts along whose rows may still be in their table"),
})

const lockWaitMs = 60_000

/** By hand: brings rows that cleanup archived back, into a table beside their own. Changes no row of any other table. */
export default defineJob({
  name: "restore-archive",
  about: "Load archived rows into a table of their own, each part checked before it counts",
  byHand: true,
  options,
  config: (ops, env) => ({
    databases: targets(ops, env),
    storeUrl: env.storeUrl("read"),
    identities: env.parsedSecret(secret("BACKUP_IDENTITY"), parseIdentities),
  }),

  async run({ config, options, dryRun, log, signal, run }) {
    const { rule, append, includeUnconfirmed, from, to, folder, part } = options
    const { database, address } = chooseOne(config.databases, options.database)
    const store = openStore(config.storeUrl, { variable: "BACKUP_STORE" })
    const into = parseTableName(options.into)
    const session = { database, address, job: "restore-archive", lockWaitMs, log, signal }
    const restored = await withExclusiveSession(session, (client, locked) =>
      restoreArchive({
        ...{ client, store, identities: config.identities, run: run.id, log, signal: locked, database, rule, into },
        ...{ append, includeUnconfirmed, dryRun, choice: { from, to, folder, part } },
      }),
    )
    const finding = judgeRestoredArchive(restored, { database, rule, into, dryRun })
    const output = restored.putBack === "" ? {} : { output: `${restored.putBack}\n` }
    return {
      summary: `${formatCounted(restored.rows, "row")} ${dryRun ? "would be loaded" : "loaded"}: ${finding.detail}`,
      findings: [finding],
      page: renderRestoredArchive(restored),
      ...output,
    }
  },
})

type Target = { database: string; address: ReturnType<typeof addressOf> }

function targets(ops: OpsConfig, env: Environment): Target[] {
  return Object.keys(ops.databases).map((database) => ({ database, address: addressOf(ops, env, database) }))
}

/** The address, or what is missing of it: of one database nobody needs the secrets of the others. */
function addressOf(ops: OpsConfig, env: Environment, database: string) {
  const { writeUrl, caFile } = ops.databases[database] ?? {}
  if (!writeUrl)
    return { missing: [`databases.${database} has no writeUrl: set it to the secret with a role that may make tables`] }
  const ca = caFile === undefined ? {} : { caFile: resolve(caFile) }
  return env.part((own) => own.parsedSecret(writeUrl, (text, name) => parsePostgresUrl(text, name, ca)))
}

function chooseOne(databases: readonly Target[], name: string | undefined) {
  const known = databases.map(({ database }) => database).join(", ") || "none"
  const found = databases.filter(({ database }) => name === undefined || database === name)
  const [chosen, second] = found
  if (!chosen)
    throw new ConfigError(
      `--database ${name ?? ""}: there is no database of that name in ops.config.ts (there is ${known})`,
    )
  if (second) throw new ConfigError(`--database is missing: name one of ${known}`)
  if ("missing" in chosen.address) throw new ConfigError(chosen.address.missing)
  return { database: chosen.database, address: chosen.address.value }
}
