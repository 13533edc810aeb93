import pg from "pg"

/** A table as the catalogue has it: neither quoted nor folded to small letters. */
export type TableName = { schema: string; name: string }

/** Reads `sessions` (of `public`) or `audit.sessions`. */
export function parseTableName(text: string): TableName {
  const dot = text.indexOf(".")
  return dot === -1 ? { schema: "public", name: text } : { schema: text.slice(0, dot), name: text.slice(dot + 1) }
}

/** `public.sessions`, for people. */
export function renderTableName({ schema, name }: TableName): string {
  return `${schema}.${name}`
}

/** A name of the catalogue in SQL, whatever letters are in it. */
export function quoteName(name: string): string {
  return pg.escapeIdentifier(name)
}

/** A table in SQL, with its schema. */
export function quoteTable({ schema, name }: TableName): string {
  return `${quoteName(schema)}.${quoteName(name)}`
}
