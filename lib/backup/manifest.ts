import { z } from "zod"

const storedObject = z.strictObject({
  /** Key relative to the set. */
  name: z.string(),
  plainBytes: z.number().int().nonnegative(),
  plainSha256: z.string().regex(/^[0-9a-f]{64}$/),
  sealedBytes: z.number().int().positive(),
  sealedSha256: z.string().regex(/^[0-9a-f]{64}$/),
})

const serverFacts = z.strictObject({
  version: z.string(),
  major: z.number().int(),
  encoding: z.string(),
  localeProvider: z.enum(["libc", "icu", "builtin"]),
  collate: z.string(),
  ctype: z.string(),
  icuLocale: z.string().optional(),
  icuRules: z.string().optional(),
  builtinLocale: z.string().optional(),
  /** Of a database with columns of type `money`: a dump holds them the way this locale writes money. */
  lcMonetary: z.string().optional(),
})

export const manifestSchema = z.strictObject({
  format: z.literal("nightshift-backup/1"),
  database: z.string(),
  set: z.string(),
  run: z.string(),
  /** The slot that this set covers. */
  slot: z.iso.datetime(),
  /** The moment the dump shows the database at. */
  snapshotAt: z.iso.datetime(),
  finishedAt: z.iso.datetime(),
  server: serverFacts,
  client: z.strictObject({ pgDump: z.string() }),
  objects: z.strictObject({
    dump: storedObject,
    proof: storedObject,
    config: storedObject,
    roles: storedObject.optional(),
    recovery: z.strictObject({ name: z.string(), bytes: z.number().int().positive(), sha256: z.string() }),
  }),
  totals: z.strictObject({
    tables: z.number().int().nonnegative(),
    /** Exact rows of the tables that the proof counted. */
    rows: z.number().int().nonnegative(),
    largeObjects: z.number().int().nonnegative(),
    databaseBytes: z.number().int().nonnegative(),
  }),
  proof: z.strictObject({
    level: z.enum(["full", "counts"]),
    tablesCounted: z.number().int(),
    tablesHashed: z.number().int(),
  }),
  /** What the configuration keeps out of the dump. */
  excluded: z.strictObject({ schemas: z.array(z.string()), tables: z.array(z.string()) }),
  /** What should be in the set or its proof and is not, each with its reason. */
  leftOut: z.array(z.string()),
  recipients: z.array(z.string()),
  durationsMs: z.strictObject({ dump: z.number(), proof: z.number(), total: z.number() }),
  tool: z.strictObject({ name: z.literal("nightshift"), commit: z.string().optional() }),
})

/** The clear description of a backup set, and its commit mark: a set without one does not exist. */
export type Manifest = z.infer<typeof manifestSchema>
export type ServerFacts = z.infer<typeof serverFacts>
export type StoredObjectFacts = z.infer<typeof storedObject>

/** Bytes of `manifest.json`. */
export function renderManifest(manifest: Manifest): Uint8Array {
  return new TextEncoder().encode(`${JSON.stringify(manifest, null, 2)}\n`)
}

/** Reads `manifest.json`; throws an error that names what is wrong with it. */
export function parseManifest(bytes: Uint8Array): Manifest {
  let value: unknown
  try {
    value = JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(bytes))
  } catch (cause) {
    throw new Error("manifest.json is no JSON", { cause })
  }
  const parsed = manifestSchema.safeParse(value)
  if (parsed.success) return parsed.data
  throw new Error(`manifest.json is not of the format nightshift-backup/1: ${z.prettifyError(parsed.error)}`)
}
