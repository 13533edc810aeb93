import type { Client } from "pg"
import type { z } from "zod"
import { decaySchema } from "../../../lib/config/decay-schema.ts"
import { applyDecay, type DecayLimits, type DecayOutcome } from "../../../lib/decay/apply.ts"
import type { PreparedRule } from "../../../lib/decay/prepared.ts"
import { type DecayRule, parseRule } from "../../../lib/decay/rule.ts"
import { prepareRule } from "../../../lib/decay/validate.ts"
import { ensureOpsTables } from "../../../lib/postgres/ops-schema.ts"
import type { Table } from "../../../lib/postgres/table.ts"

export type RuleInput = z.input<typeof decaySchema>

export const silent = { debug() {}, info() {}, warn() {}, error() {}, progress: () => ({ at() {}, done() {} }) }

/** A rule without mistakes of its own, as the configuration would have it. */
export function ruleOf(input: RuleInput): DecayRule {
  const { rule, problems } = parseRule("main", 0, decaySchema.parse(input))
  if (problems.length > 0) throw new Error(problems.join("; "))
  return rule
}

/** The same with a table that nobody asked the database about: for what looks at names alone. */
export function describedRule(input: RuleInput): PreparedRule {
  const column = {
    name: input.column,
    type: "double precision",
    baseType: "double precision",
    isNullable: true,
    isGenerated: false,
    isIdentity: false,
  }
  const since = { ...column, name: input.since, type: "timestamp with time zone", baseType: "timestamp with time zone" }
  const table: Table = {
    ...{
      oid: "1",
      schema: "public",
      name: input.table,
      kind: "table",
      owner: "team",
      columns: [column, since],
      primaryKey: ["id"],
    },
    ...{
      indexes: [],
      foreignKeys: [],
      incoming: [],
      estimatedRows: 0,
      bytes: 0,
      isPartition: false,
      hasChildren: false,
    },
    ...{ hasRowSecurity: false, hidesRows: false, triggers: [] },
  }
  return { ...ruleOf(input), table, column, since, baseColumn: undefined, halfLife: undefined }
}

/** The rule, held against a database; throws its problems. */
export async function preparedOf(client: Client, input: RuleInput): Promise<PreparedRule> {
  const { prepared, problems } = await prepareRule(client, ruleOf(input))
  if (!prepared) throw new Error(problems.join("; "))
  return prepared
}

export type Play = { runId?: string; catchUp?: boolean; limits?: DecayLimits; signal?: AbortSignal }

/** Applies a rule for a slot in the session of `client`. */
export async function play(client: Client, input: RuleInput, slot: string, given: Play = {}): Promise<DecayOutcome> {
  const rule = await preparedOf(client, input)
  await ensureOpsTables(client, ["decay_watermark"])
  const at = new Date(slot)
  const { signal = new AbortController().signal, runId = "run-1", catchUp = false, limits } = given
  return applyDecay(rule, {
    ...{ client, slot: at, now: at, runId, catchUp, signal, ruleNames: [input.name], recorded: new Map(), log: silent },
    ...(limits && { limits }),
  })
}
