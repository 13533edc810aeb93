import { z } from "zod"

const scope = z.strictObject({ schemas: z.array(z.string()), tables: z.array(z.string()) })

const tableFacts = z.strictObject({
  /** Object id on the source server, by which the archive lists it. */
  oid: z.string(),
  schema: z.string(),
  name: z.string(),
  kind: z.enum(["table", "partitioned table", "materialized view"]),
  /** The extension that brings the table along; the dump holds its rows alone. */
  extension: z.string().optional(),
  /** Exact rows, of this table only (no children). Absent when it was not counted; the reason is in `leftOut`. */
  rows: z.string().regex(/^\d+$/).optional(),
  /** Order-free hash of all rows. Absent where the proof holds counts only, and for what cannot be hashed. */
  hash: z.string().optional(),
  /** Why a difference would prove nothing, for a materialized view whose query is not repeatable. */
  unstable: z.string().optional(),
  /** For a materialized view: whether it holds rows at all. */
  isPopulated: z.boolean().optional(),
})

const sequencePosition = z.strictObject({ lastValue: z.string(), isCalled: z.boolean() })

const sequenceFacts = z.strictObject({
  oid: z.string(),
  schema: z.string(),
  name: z.string(),
  /** Set when it starts over after its last value: its positions then say little about what lies between them. */
  cycles: z.literal(true).optional(),
  /** Sequences ignore snapshots: the dump holds a value between these two. */
  before: sequencePosition,
  after: sequencePosition,
})

const extensionFacts = z.strictObject({
  name: z.string(),
  version: z.string(),
  schema: z.string(),
  /** Descriptions of the team's own objects that need this extension. */
  dependents: z.array(z.string()),
})

/** What the dump refers to and does not hold, because configuration excludes it. */
const outsideFacts = z.strictObject({
  /** Excluded schemas that extensions put their objects into: the extensions themselves are in the dump. */
  schemas: z.array(z.string()),
  /** Enums, domains and composite types, with what follows the name in their statement. */
  types: z.array(z.strictObject({ schema: z.string(), name: z.string(), definition: z.string() })),
  functions: z.array(
    z.strictObject({
      schema: z.string(),
      name: z.string(),
      arguments: z.string(),
      result: z.string(),
      volatility: z.string(),
    }),
  ),
  relations: z.array(
    z.strictObject({
      schema: z.string(),
      name: z.string(),
      /** `typeOid` is that of the type's element when it is an array: the dump may hold it. */
      columns: z.array(z.strictObject({ name: z.string(), type: z.string(), typeOid: z.string() })),
      primaryKey: z.array(z.string()),
    }),
  ),
  /** Foreign keys into excluded tables, by the oid that the archive lists them under. */
  foreignKeys: z.array(z.strictObject({ oid: z.string(), name: z.string(), table: z.string() })),
  /** Materialized views that read an excluded relation: they cannot come back equal. */
  views: z.array(z.string()),
})

export const proofSchema = z.strictObject({
  format: z.literal("nightshift-proof/1"),
  level: z.enum(["full", "counts"]),
  serverMajor: z.number().int(),
  excluded: scope,
  tables: z.array(tableFacts),
  sequences: z.array(sequenceFacts),
  /** `hash` is of their bytes, `attributes` one of their owners, grants and comments. */
  largeObjects: z.strictObject({ count: z.string(), hash: z.string().optional(), attributes: z.string().optional() }),
  extensions: z.array(extensionFacts),
  /** Names of roles that own something or that a grant or policy names. */
  roles: z.array(z.string()),
  /** Tablespaces, other than the database's own, that hold tables or indexes. */
  tablespaces: z.array(z.string()),
  /** Counts by object kind, owner, grant and row-security flag. */
  inventory: z.record(z.string(), z.string()),
  /** `pg_dump --schema-only`, without the lines that differ between two equal databases. */
  schema: z.string(),
  outside: outsideFacts,
  leftOut: z.array(z.string()),
})

/** Facts about a database, taken inside the very snapshot that its dump shows. */
export type Proof = z.infer<typeof proofSchema>
export type TableFacts = z.infer<typeof tableFacts>
export type SequenceFacts = z.infer<typeof sequenceFacts>
export type SequencePosition = z.infer<typeof sequencePosition>
export type ExtensionFacts = z.infer<typeof extensionFacts>
export type OutsideFacts = z.infer<typeof outsideFacts>
/** What the configuration keeps out: schema names, and tables as `schema.table`. */
export type Excluded = z.infer<typeof scope>

/** Reads the bytes of `proof.json`; throws an error that names what is wrong. */
export function parseProof(bytes: Uint8Array): Proof {
  const parsed = proofSchema.safeParse(JSON.parse(new TextDecoder().decode(bytes)))
  if (parsed.success) return parsed.data
  throw new Error(`proof.json is not of the format nightshift-proof/1: ${z.prettifyError(parsed.error)}`)
}

/** `schema.table`, the way people write it. */
export function qualified(relation: { schema: string; name: string }): string {
  return `${relation.schema}.${relation.name}`
}
