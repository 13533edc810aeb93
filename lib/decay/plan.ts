import type { Client } from "pg"
import { z } from "zod"
import { newParameters } from "./parameters.ts"
import type { PreparedRule } from "./prepared.ts"
import { cell, considered, type Span, valueSql } from "./value-sql.ts"

export const histogramBars = 10
const sampleRows = 10

export type Histogram = { from: number; to: number; before: number[]; after: number[] }

/** What applying a rule would change. A value: nothing was changed to make it. */
export type DecayPlan = {
  /** Rows that the rule is about. */
  considered: number
  /** Of these, rows without a finite value, base, time or half-life. */
  leftAlone: number
  changed: number
  /** In the order of the rule's thresholds: rows that fall to it now, and all that are at or under it then. */
  thresholds: { below: number; crossing: number; under: number }[]
  /** Of all finite values; absent where there are none. */
  histogram: Histogram | undefined
  /** Some of the rows that change, the same ones each time: keys as the server renders them. */
  sample: { key: string[]; before: string; after: string }[]
}

const counts = z.object({
  considered: z.number(),
  left_alone: z.number(),
  changed: z.number(),
  crossing: z.array(z.number()),
  under: z.array(z.number()),
  low: z.number().nullable(),
  high: z.number().nullable(),
  bars: z.array(z.object({ bar: z.number(), before: z.number(), after: z.number() })).nullable(),
})

/** Reads what would change. Writes nothing. In a transaction. */
export async function planDecay(client: Client, rule: PreparedRule, span: Span): Promise<DecayPlan> {
  await client.query("set local jit = off") // for the rest of the transaction: compiling the value anew for each range costs more than it saves
  const found = await count(client, rule, span)
  const bars = (side: "before" | "after") =>
    Array.from({ length: histogramBars }, (_, index) => found.bars?.find(({ bar }) => bar === index + 1)?.[side] ?? 0)
  return {
    ...{ considered: found.considered, leftAlone: found.left_alone, changed: found.changed },
    thresholds: rule.config.thresholds.map(({ below }, index) => {
      return { below, crossing: found.crossing[index] ?? 0, under: found.under[index] ?? 0 }
    }),
    histogram:
      found.low === null || found.high === null
        ? undefined
        : { from: found.low, to: found.high, before: bars("before"), after: bars("after") },
    sample: found.changed === 0 ? [] : await takeSample(client, rule, span),
  }
}

async function count(client: Client, rule: PreparedRule, span: Span): Promise<z.output<typeof counts>> {
  const parameters = newParameters()
  const { from, where } = considered(rule)
  const own = cell(rule.column.name)
  const fresh = valueSql(rule, span, parameters)
  const limits = rule.config.thresholds.map(({ below }) => parameters.bind(below, "double precision"))
  const counted = (conditions: string[]) =>
    `array[${conditions.map((condition) => `count(*) filter (where ${condition})`).join(", ")}]::float8[]`
  const usual = (name: string) => `${name} not in ('NaN', 'Infinity', '-Infinity')`
  const { rows } = await client.query(
    `with planned as materialized (
       select own::double precision as before, coalesce(fresh, own)::double precision as after,
              fresh is null as is_left, fresh is not null and fresh is distinct from own as is_changed
         from (select ${own} as own, ${fresh} as fresh from ${from} where ${where} offset 0) as one),
     usual as (select before, after from planned where ${usual("before")} and ${usual("after")}),
     ends as (select min(least(before, after)) as low, max(greatest(before, after)) as high from usual),
     width as (select low, case when high > low then high else low + 1 end as high from ends),
     places as (
       select least(${histogramBars}, width_bucket(before, low, high, ${histogramBars})) as old,
              least(${histogramBars}, width_bucket(after, low, high, ${histogramBars})) as new
         from usual, width),
     bars as (
       select bar, sum(old)::float8 as before, sum(new)::float8 as after
         from (select old as bar, count(*) as old, 0 as new from places group by old
               union all select new, 0, count(*) from places group by new) as both_sides
        group by bar)
     select count(*)::float8 as considered, (count(*) filter (where is_left))::float8 as left_alone,
            (count(*) filter (where is_changed))::float8 as changed,
            ${counted(limits.map((below) => `before > ${below} and after <= ${below}`))} as crossing,
            ${counted(limits.map((below) => `after <= ${below}`))} as under,
            (select low from width) as low, (select high from width) as high,
            (select json_agg(bars) from bars) as bars
       from planned`,
    parameters.values,
  )
  return counts.parse(rows[0])
}

async function takeSample(client: Client, rule: PreparedRule, span: Span): Promise<DecayPlan["sample"]> {
  const parameters = newParameters()
  const { from, where } = considered(rule)
  const fresh = valueSql(rule, span, parameters)
  const keys = rule.table.primaryKey.map((name) => `${cell(name)}::text`)
  const { rows } = await client.query(
    `select key, own::text as before, fresh::text as after
       from (select array[${keys.join(", ")}] as key, ${cell(rule.column.name)} as own, ${fresh} as fresh from ${from} where ${where} offset 0) as one
      where fresh is not null and fresh is distinct from own
      order by hashtextextended(key::text, 0), key limit ${sampleRows}`,
    parameters.values,
  )
  return z.array(z.object({ key: z.array(z.string()), before: z.string(), after: z.string() })).parse(rows)
}
