import type { DecayConfig } from "../config/decay-schema.ts"
import { type Grid, gridOf, stepMsOf } from "./slots.ts"

export type JoinedHalfLife = { table: string; column: string; by: string; key: string | undefined }

/** How a value falls with age. Times in milliseconds. */
export type Shape =
  | { kind: "half-life"; halfLifeMs: number }
  | { kind: "joined half-life"; source: JoinedHalfLife }
  | { kind: "linear"; lossPerStep: number }
  | { kind: "steps"; steps: { afterMs: number; share: number }[] }
  | { kind: "expression"; sql: string }

export type Base = { column: string } | { number: number }

/** A rule as the configuration says it, before anybody looked at the database. */
export type DecayRule = {
  /** Where it stands, such as `databases.main.decay[0] ("freshness")`. */
  path: string
  config: DecayConfig
  shape: Shape
  /** With it each value is computed anew from the base; without it, from the last value, and a watermark says up to when that counts. */
  base: Base | undefined
  grid: Grid
}

/**
 * Reads a rule whose settings fit each other as the configuration wants it. Its own problems, which need no database to be seen, come with
 * it, each beginning with its path. Pure.
 */
export function parseRule(
  database: string,
  index: number,
  config: DecayConfig,
): { rule: DecayRule; problems: string[] } {
  const path = `databases.${database}.decay[${index}] (${JSON.stringify(config.name)})`
  const grid = gridOf(config.every, config.timezone)
  const shape = shapeOf(config, stepMsOf(grid))
  const base =
    config.base === undefined
      ? undefined
      : typeof config.base === "number"
        ? { number: config.base }
        : { column: config.base }
  const problems = [
    ...shapeProblems(shape),
    ...clockProblems("where", config.where, "compare with a column"),
    ...thresholdProblems(config),
  ]
  return { rule: { path, config, shape, base, grid }, problems: problems.map((problem) => `${path}: ${problem}`) }
}

function shapeOf({ halfLife, linear, steps = [], expression }: DecayConfig, stepMs: number): Shape {
  if (halfLife && "ms" in halfLife) return { kind: "half-life", halfLifeMs: halfLife.ms }
  if (halfLife) return { kind: "joined half-life", source: { ...halfLife, key: halfLife.key } }
  if (linear) return { kind: "linear", lossPerStep: (linear.amount * stepMs) / linear.every.ms }
  if (expression !== undefined) return { kind: "expression", sql: expression }
  return { kind: "steps", steps: steps.map(({ after, share }) => ({ afterMs: after.ms, share })) }
}

function shapeProblems(shape: Shape): string[] {
  if (shape.kind === "linear" && !(shape.lossPerStep > 0))
    return ["linear.amount is not above 0: say how much is lost, as a positive number"]
  if (shape.kind === "expression") return clockProblems("expression", shape.sql, "use age_days")
  return shape.kind === "steps" ? stepProblems(shape.steps) : []
}

function stepProblems(steps: { afterMs: number; share: number }[]): string[] {
  if (steps.length === 0) return ["steps is empty: it takes at least one { after, share }"]
  const isFalling = steps.every((step, index) => {
    const previous = steps[index - 1]
    return !previous || (step.afterMs > previous.afterMs && step.share <= previous.share)
  })
  return isFalling
    ? []
    : ["steps do not fall: put them in the order of `after`, each with a `share` not above the one before"]
}

/** Such SQL would give something else each time it is asked, and a run that is late would not be exact. */
function clockProblems(what: string, sql: string | undefined, instead: string): string[] {
  const found =
    /\b(?:now|random|clock_timestamp|statement_timestamp|transaction_timestamp)\s*\(|\bcurrent_(?:timestamp|date|time)\b|\blocaltime(?:stamp)?\b/i.exec(
      sql ?? "",
    )
  if (!found) return []
  const call = `${found[0]}${found[0].endsWith("(") ? ")" : ""}`
  return [`${what} uses ${call}, so that it gives something else each time: ${instead}`]
}

function thresholdProblems({ thresholds, floor }: DecayConfig): string[] {
  return thresholds.flatMap(({ below }, index) =>
    below < floor ? [`thresholds[${index}].below is ${below}, under the floor ${floor}: no value falls that low`] : [],
  )
}
