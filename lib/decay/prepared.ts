import type { Table, TableColumn } from "../postgres/table.ts"
import type { DecayRule } from "./rule.ts"

/** A rule that fits the database as it is now. */
export type PreparedRule = DecayRule & {
  table: Table
  column: TableColumn
  since: TableColumn
  baseColumn: TableColumn | undefined
  halfLife: { table: Table; column: TableColumn; by: TableColumn; key: TableColumn } | undefined
}
