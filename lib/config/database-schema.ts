import { z } from "zod"
import { careSchema } from "./care-schema.ts"
import { cleanupSchema } from "./cleanup-schema.ts"
import { decaySchema } from "./decay-schema.ts"
import {
  choice,
  duration,
  fraction,
  list,
  matching,
  number,
  secretRef,
  section,
  text,
  variableRef,
  whole,
} from "./fields.ts"

const backup = section({
  recipients: variableRef("BACKUP_RECIPIENTS").describe(
    "Public age keys that may open the backup, one a line. Two or more, kept by different people: a lost key is a lost backup.",
  ),
  proof: choice(["full", "counts"])
    .default("full")
    .describe(
      "What is taken from the source beside the dump: exact rows and a content hash of every table, or rows alone.",
    ),
  proofTimeLimit: duration()
    .prefault("30 minutes")
    .describe("How long the proof may take. Tables that were not reached are named in the manifest."),
  keep: section({
    daily: whole(1, 3650, "a number of days").default(30).describe("Days of which the last set is kept."),
    weekly: whole(0, 520, "a number of weeks").default(12).describe("ISO weeks of which the last set is kept."),
    monthly: whole(0, 240, "a number of months").default(12).describe("Months of which the last set is kept."),
    yearly: whole(0, 50, "a number of years").default(0).describe("Years of which the last set is kept."),
  })
    .prefault({})
    .describe("Which backup sets are kept. The newest verified one always is."),
  rpoHours: fraction(0.1, 8760, "a number of hours")
    .default(26)
    .describe("How old the newest backup may be before it is a failure: the data that may be lost, in hours."),
  rtoMinutes: fraction(0.1, 10_080, "a number of minutes")
    .default(60)
    .describe("How long the restore of a backup may take, in minutes."),
  shrinkPercent: fraction(0, 100, "a percentage")
    .default(30)
    .describe("A set with fewer tables, or with rows or bytes down by more than this, is a failure. The set is kept."),
  exclude: section({
    schemas: list(text("the name of a schema"), "schema names")
      .default([])
      .describe("Schemas to leave out, such as `audit_archive`."),
    tables: list(
      matching(/^[^.]+\.[^.]+$/, 'a table with its schema, such as "public.events"'),
      "tables with their schemas",
    )
      .default([])
      .describe("Tables to leave out, with their schema, such as `public.events`."),
  })
    .prefault({})
    .describe("What is not backed up. The manifest says so."),
  compressionLevel: whole(1, 19, "a zstd level")
    .default(2)
    .describe(
      "Level of zstd. 3 saves 2 % of the size for a tenth more time; above 6 costs much time and saves little.",
    ),
  jobMinutes: whole(1, 10_080, "a number of minutes")
    .default(120)
    .describe(
      "How long the backup of this database may take, all in all. One that cannot be done in this time at the rate of the set before is refused at once; one that is not done when the time is up is ended.",
    ),
})

const restore = section({
  packages: list(
    matching(/^[a-z0-9][a-z0-9+.-]+$/, 'the name of a Debian package, such as "postgresql-16-pgvector"'),
    "Debian packages",
  )
    .default([])
    .describe("Debian packages with the extensions that the scratch server of the restore test needs."),
  roles: list(text("the name of a role"), "role names")
    .default([])
    .describe("Roles to make before the restore, beside those that the backup names."),
})

const assertion = section({
  name: text("a sentence that says what is true").describe("What is true of good data, as a sentence."),
  sql: text("one SQL query").describe("One query. Without `expect` it must return no rows."),
  expect: section({
    min: number("a number").optional().describe("The least the number may be."),
    max: number("a number").optional().describe("The most the number may be."),
  })
    .optional()
    .describe("The query returns one number, which must lie in this range."),
})

/** One Postgres database and what is done to it. */
export const databaseSchema = section({
  url: secretRef("DATABASE_URL").describe(
    "Connection string for reading. A read-only role is enough, unless row security hides rows from it.",
  ),
  writeUrl: secretRef("DATABASE_WRITE_URL")
    .optional()
    .describe("Connection string for writing. Only the jobs that change data get it."),
  caFile: text("the path of a PEM file")
    .optional()
    .describe(
      "Certificate of the authority that signed the server's, where the system does not know it. Relative to the repository's root.",
    ),
  backup: backup.optional().describe("Makes nightly backups of the database."),
  restore: restore.prefault({}).describe("What the restore test needs on the scratch server."),
  assertions: list(assertion, "assertions").default([]).describe("What must be true of the restored data."),
  decay: list(decaySchema, "decay rules").default([]).describe("Values that fade with time."),
  cleanup: list(cleanupSchema, "cleanup rules")
    .default([])
    .describe("Rows that are done with, and what becomes of them."),
  archive: section({
    recipients: variableRef("BACKUP_RECIPIENTS").describe("Public age keys that may open the archives, one a line."),
  })
    .optional()
    .describe("Where a cleanup rule archives: who may open it. The keys of `backup` unless told."),
  verifiedBackupWithin: z
    .union([duration(), z.literal(false)], { error: 'a time such as "48 hours", or false' })
    .prefault("48 hours")
    .meta({ takes: 'a time such as "48 hours", or false' })
    .describe(
      "Cleanup and maintenance start only when a backup of this age or younger was restored and found equal; `false` where backups are made elsewhere.",
    ),
  care: careSchema.prefault({}).describe("Daily checks and weekly maintenance."),
})

export type DatabaseConfig = z.output<typeof databaseSchema>
export type BackupConfig = z.output<typeof backup>
export type AssertionConfig = z.output<typeof assertion>
