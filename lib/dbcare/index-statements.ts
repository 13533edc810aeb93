import { quoteTable, type TableName } from "../postgres/name.ts"

/** Drops an index while people go on writing; one of a partitioned table cannot be dropped that way. */
export function dropIndex(index: TableName, isPartitioned = false): string {
  return `drop index ${isPartitioned ? "" : "concurrently "}${quoteTable(index)}`
}

/** The statement of `pg_get_indexdef` as one that lets people go on writing; one of a partitioned table cannot be made that way. */
export function makeIndex(definition: string, isPartitioned = false): string {
  if (isPartitioned) return definition.replace(/^(CREATE (?:UNIQUE )?INDEX .*?) ON ONLY /, "$1 ON ")
  return definition.replace(/^CREATE (UNIQUE )?INDEX /, "CREATE $1INDEX CONCURRENTLY ")
}
