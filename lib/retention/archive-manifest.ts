import { z } from "zod"

const sha256 = z.string().regex(/^[0-9a-f]{64}$/)
const count = z.number().int().nonnegative()
const table = z.strictObject({ schema: z.string(), name: z.string() })

const column = z.strictObject({
  name: z.string(),
  /** With its schema where it is no built-in type, such as `numeric(10,2)` or `shop.mood`. */
  type: z.string(),
  /** Computed from other columns: archived for the reader, never to be written back. */
  isGenerated: z.boolean(),
  /** `generated always as identity`: written back with `overriding system value` only. */
  isIdentity: z.boolean(),
})

const manifestSchema = z.strictObject({
  format: z.literal("nightshift-archive/1"),
  database: z.string(),
  rule: z.string(),
  /** The table of the rule, and the partition or heir of it that held these rows. */
  table,
  target: table,
  part: z.number().int().positive(),
  slot: z.iso.datetime(),
  run: z.string(),
  /** When the rows were read, by the database's clock. */
  readAt: z.iso.datetime(),
  server: z.strictObject({ version: z.string() }),
  /** Columns of the rows, in the order of the file's header. */
  columns: z.array(column).min(1),
  /** Columns that the rows are sorted by. */
  orderedBy: z.array(z.string()),
  /** Age of the first and of the last row, where the rule goes by age. Keys are not said in clear. */
  ages: z.strictObject({ column: z.string(), first: z.string(), last: z.string() }).optional(),
  rows: z.number().int().positive(),
  object: z.strictObject({
    name: z.string(),
    plainBytes: count,
    plainSha256: sha256,
    sealedBytes: count,
    sealedSha256: sha256,
  }),
  /** Session settings that decide how values are written, and are to be set before they are read. */
  settings: z.record(z.string(), z.string()),
  /** Fingerprints of the public keys that it was sealed for. */
  recipients: z.array(z.string()),
})

const receiptSchema = z.strictObject({
  format: z.literal("nightshift-archive-receipt/1"),
  name: z.string(),
  sealedSha256: sha256,
  run: z.string(),
  deletedAt: z.iso.datetime(),
  /** Rows that left the table. */
  rowsDeleted: count,
  /** Rows of the file, counted from 1, that did not: changed, locked or held after they were read. They are still in the table. */
  rowsKept: z.array(z.number().int().positive()),
})

const abandonedSchema = z.strictObject({
  format: z.literal("nightshift-archive-abandoned/1"),
  name: z.string(),
  run: z.string(),
  reason: z.string(),
})

/** The clear description of a part, written once the part was read back. */
export type ArchiveManifest = z.infer<typeof manifestSchema>
/** What was deleted of a part: its commit mark. */
export type ArchiveReceipt = z.infer<typeof receiptSchema>
/** Says that no row of a part was deleted and none ever will be on its account. */
export type ArchiveAbandoned = z.infer<typeof abandonedSchema>
export type ArchivedColumn = ArchiveManifest["columns"][number]

/** Bytes of a manifest, a receipt or an abandoned mark. */
export function renderDocument(document: ArchiveManifest | ArchiveReceipt | ArchiveAbandoned): Uint8Array {
  return new TextEncoder().encode(`${JSON.stringify(document, null, 2)}\n`)
}

/** Reads a manifest; throws an error that names `key` when it is none. */
export function parseArchiveManifest(bytes: Uint8Array, key: string): ArchiveManifest {
  return parse(manifestSchema, bytes, key, "no manifest of the format nightshift-archive/1")
}

/** Reads a receipt; throws an error that names `key` when it is none. */
export function parseArchiveReceipt(bytes: Uint8Array, key: string): ArchiveReceipt {
  return parse(receiptSchema, bytes, key, "no receipt of the format nightshift-archive-receipt/1")
}

function parse<T>(schema: z.ZodType<T>, bytes: Uint8Array, key: string, what: string): T {
  let value: unknown
  try {
    value = JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(bytes))
  } catch (cause) {
    throw new Error(`${key} is no JSON`, { cause })
  }
  const parsed = schema.safeParse(value)
  if (parsed.success) return parsed.data
  throw new Error(`${key} is ${what}: ${z.prettifyError(parsed.error)}`)
}
