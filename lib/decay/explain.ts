import type { Client } from "pg"
import { errorText } from "../core/error-text.ts"
import { renderTableName } from "../postgres/name.ts"
import { marksOf } from "./mark.ts"
import { newParameters } from "./parameters.ts"
import type { PreparedRule } from "./prepared.ts"
import { markStatement, writeStatement } from "./statements.ts"
import { considered } from "./value-sql.ts"

/**
 * Has the server plan, and run nothing of, all that the rule is going to ask of it: the team's own SQL alone first, so that an unbalanced
 * parenthesis cannot join it with ours, then each statement whole, with the rights that it needs.
 */
export async function explainRule(client: Client, rule: PreparedRule): Promise<string[]> {
  const { from } = considered(rule)
  const { config } = rule
  const problems: string[] = []
  const trial = async (what: string, sql: string, values: unknown[] = []) => {
    await client.query("savepoint trial")
    try {
      // The extended protocol takes one statement; the simple one would run a second one behind a semicolon.
      const one = { text: `explain ${sql}`, values, queryMode: "extended" }
      await client.query(one)
    } catch (error) {
      problems.push(ruleProblem(what, error))
      await client.query("rollback to savepoint trial")
    }
  }
  if (config.where !== undefined) await trial("where", `select\n${config.where}\nfrom ${from}`)
  if (config.expression !== undefined) {
    const given = "(select 0::double precision as base, 0::double precision as age_days) as given"
    await trial("expression", `select (select\n${config.expression}\nfrom ${given}) from ${from}`)
  }
  for (const [index, mark] of marksOf(rule).entries()) {
    for (const [name, value] of Object.entries(mark.set)) {
      if (typeof value === "object" && value !== null) await trial(`set.${name}`, `select\n${value.sql}\nfrom ${from}`)
    }
    const { text, values } = markStatement(rule, mark, {}, newParameters())
    if (problems.length === 0) await trial(`threshold to mark, number ${index + 1}`, text, values)
  }
  if (problems.length > 0) return problems
  const { text, values } = writeStatement(rule, { from: undefined, to: 0 }, {}, newParameters())
  await trial(`changing ${renderTableName(rule.table)}`, text, values)
  return problems
}

/** Text of an error of the server while a rule is held against it: a mistake of the rule, or thrown on. */
function ruleProblem(what: string, error: unknown): string {
  const code = error instanceof Error && "code" in error ? String(error.code) : ""
  if (code === "08P01")
    return `${what}: it has a parameter such as $1, which nothing gives a value: write the value itself`
  // Classes of SQL that is wrong, of values that do not fit, and of rights: https://www.postgresql.org/docs/current/errcodes-appendix.html
  if (!/^(?:42|22|2F|0A|21)/.test(code)) throw error
  return `${what}: ${error instanceof Error ? error.message : errorText(error)}` // no row was read
}
