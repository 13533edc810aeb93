import type { Client } from "pg"
import { ConfigError } from "../core/config-error.ts"
import { quoteName, quoteTable, renderTableName } from "../postgres/name.ts"
import { describeTable, type ForeignKey, type Table } from "../postgres/table.ts"
import { isHeld, namesOf } from "./holds.ts"
import type { Parameters } from "./parameters.ts"

/** A table that refers to the one above it, and what refers to it in turn where rows go with those above. */
export type Branch = {
  key: ForeignKey
  table: Table
  names: string[]
  /** The table refers to itself. */
  isLoop: boolean
  below: Branch[]
}

const maxTables = 100

/** Reads which tables refer to this one, and where keys cascade which refer to those. Throws `ConfigError` when that runs in a circle. */
export async function readBranches(client: Client, table: Table): Promise<Branch[]> {
  let tables = 0
  const descend = async (parent: Table, path: readonly Table[]): Promise<Branch[]> => {
    const branches: Branch[] = []
    for (const incoming of parent.incoming) {
      const isLoop = incoming.from.schema === parent.schema && incoming.from.name === parent.name
      const child = isLoop ? parent : await describeTable(client, renderTableName(incoming.from))
      const key = effective(incoming, child)
      const goesWith = key.onDelete === "cascade" && !isLoop
      if (goesWith && path.some(({ oid }) => oid === child.oid)) {
        const circle = [...path, child].map(renderTableName).join(" <- ")
        throw new ConfigError(
          `deletes cascade in a circle (${circle}), which cannot be followed: take "on delete cascade" off one of these keys`,
        )
      }
      if (++tables > maxTables)
        throw new ConfigError(
          `more than ${maxTables} tables refer to ${renderTableName(table)}: that is too many to follow`,
        )
      const below = goesWith ? await descend(child, [...path, child]) : []
      branches.push({ key, table: child, names: await namesOf(client, child), isLoop, below })
    }
    return branches
  }
  return descend(table, [table])
}

/** A key that would clear columns which take no null keeps the row that it refers to, as the server would refuse. */
function effective(key: ForeignKey, child: Table): ForeignKey {
  const isPinned = child.columns.some(({ name, isNullable }) => key.columns.includes(name) && !isNullable)
  return key.onDelete === "set null" && isPinned ? { ...key, onDelete: "restrict" } : key
}

/** All branches, those below included. */
export function allBranches(branches: readonly Branch[]): Branch[] {
  return branches.flatMap((branch) => [branch, ...allBranches(branch.below)])
}

/** `c.parent_id = t.id`, for all columns of a key. */
export function joinOf({ columns, toColumns }: ForeignKey, child: string, parent: string): string {
  const pairs = columns.map(
    (column, index) => `${child}.${quoteName(column)} = ${parent}.${quoteName(toColumns[index] ?? "")}`,
  )
  return pairs.join(" and ")
}

/** A condition on the row of an alias, true for what must not change there; `undefined` where there is nothing to ask. */
type Test = (branch: Branch, alias: string) => string | undefined

/**
 * Condition on `alias`: a row that refers to it, or to what goes with it, passes the test of its branch. `undefined` when no branch asks.
 */
function anyBelow(
  branches: readonly Branch[],
  alias: string,
  test: Test,
  self: (alias: string) => string | undefined,
): string | undefined {
  const parts = branches.flatMap((branch) => {
    const child = `${alias}${branches.indexOf(branch) + 1}`
    if (branch.isLoop && branch.key.onDelete === "cascade")
      return loopBelow(branch, branches, alias, child, test, self) ?? []
    const below = [test(branch, child), anyBelow(branch.below, child, test, (inner) => test(branch, inner))].filter(
      (part) => part !== undefined,
    )
    if (below.length === 0) return []
    const other = branch.isLoop ? ` and (${child}.tableoid, ${child}.ctid) <> (${alias}.tableoid, ${alias}.ctid)` : ""
    const from = `from ${quoteTable(branch.table)} ${child} where ${joinOf(branch.key, child, alias)}${other}`
    return `exists (select ${from} and (${below.join(" or ")}))`
  })
  return parts.length === 0 ? undefined : parts.join(" or ")
}

/** The same for a table whose rows take others of its own with them, down the tree. */
function loopBelow(
  loop: Branch,
  branches: readonly Branch[],
  alias: string,
  child: string,
  test: Test,
  self: (alias: string) => string | undefined,
) {
  const others = branches.filter((branch) => !(branch.isLoop && branch.key.onDelete === "cascade"))
  const tests = [self(child), anyBelow(others, child, test, self)].filter((part) => part !== undefined)
  if (tests.length === 0) return undefined
  const table = quoteTable(loop.table)
  const keys = loop.key.toColumns.map((_, index) => `k${index}`)
  const take = (from: string) =>
    loop.key.toColumns.map((column, index) => `${from}.${quoteName(column)} as k${index}`).join(", ")
  const refers = loop.key.columns.map((column, index) => `c.${quoteName(column)} = d.k${index}`).join(" and ")
  const same = loop.key.toColumns.map((column, index) => `${child}.${quoteName(column)} = d.k${index}`).join(" and ")
  return `exists (
    with recursive d(${keys.join(", ")}) as (
      select ${take(alias)} union select ${take("c")} from ${table} c join d on ${refers})
    select from d join ${table} ${child} on ${same} where ${tests.join(" or ")})`
}

/** Condition on `t`: a key that neither cascades nor clears itself refers to the row, or to one that would go with it. */
export function isReferredTo(branches: readonly Branch[]): string | undefined {
  const blocks: Test = ({ key }) => (key.onDelete === "no action" || key.onDelete === "restrict" ? "true" : undefined)
  return anyBelow(branches, "t", blocks, () => undefined)
}

/** Condition on `t`: a hold is on a row that would go with it, or lose its reference to it. */
export function holdsOneBelow(
  branches: readonly Branch[],
  names: readonly string[],
  slot: string,
  parameters: Parameters,
): string | undefined {
  const held: Test = ({ key, names }, alias) =>
    key.onDelete === "no action" || key.onDelete === "restrict" ? undefined : isHeld(alias, names, slot, parameters)
  return anyBelow(branches, "t", held, (alias) => isHeld(alias, names, slot, parameters))
}

/** A query for how many rows of a branch would change with the rows of `condition` on `t`. `path` leads from the rule's table to it. */
export function countBranchSql(table: Table, condition: string, path: readonly Branch[]): string {
  const [last, ...rest] = path.toReversed()
  if (!last) throw new Error("a path of keys has at least one")
  if (last.isLoop && last.key.onDelete === "cascade" && rest.length === 0) return countLoopSql(table, condition, last)
  const inner = (branch: Branch, above: readonly Branch[], alias: string): string => {
    const [parent, ...further] = above
    if (!parent)
      return `exists (select from ${quoteTable(table)} t where ${condition} and ${joinOf(branch.key, alias, "t")})`
    const name = `${alias}p`
    return `exists (select from ${quoteTable(parent.table)} ${name} where ${joinOf(branch.key, alias, name)} and ${inner(parent, further, name)})`
  }
  return `select count(*)::float8 as count from ${quoteTable(last.table)} c where ${inner(last, rest, "c")}`
}

function countLoopSql(table: Table, condition: string, { key }: Branch): string {
  const take = (from: string) =>
    key.toColumns.map((column, index) => `${from}.${quoteName(column)} as k${index}`).join(", ")
  const refers = key.columns.map((column, index) => `c.${quoteName(column)} = d.k${index}`).join(" and ")
  return `with recursive d as (
      select ${take("t")} from ${quoteTable(table)} t where ${condition}
      union select ${take("c")} from ${quoteTable(table)} c join d on ${refers})
    select (select count(*) from d)::float8 - (select count(*) from ${quoteTable(table)} t where ${condition})::float8 as count`
}
