import { z } from "zod"

/** What a column is set to: a plain value, or SQL that may use the row's other columns. */
export type CellValue = null | string | number | boolean | { sql: string }

/** Columns and what they are set to. */
export function cellValues() {
  const error = 'columns with values, such as { email: null, name: "removed", city: { sql: "left(city, 1)" } }'
  const value = z.union([z.null(), z.string(), z.number(), z.boolean(), z.strictObject({ sql: z.string().min(1) })], {
    error: 'a text, a number, true, false, null or { sql: "…" }',
  })
  return z
    .record(z.string().min(1), value, { error })
    .refine((cells) => Object.keys(cells).length > 0, error)
    .meta({ takes: "columns with values" })
}
