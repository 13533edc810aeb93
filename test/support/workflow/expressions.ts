import { data, Evaluator, Lexer, Parser } from "@actions/expressions"
import type { FunctionDefinition } from "@actions/expressions/funcs/info"
import { truthy } from "@actions/expressions/result"
import { isBasicExpression } from "@actions/workflow-parser"
import type { TemplateToken } from "@actions/workflow-parser/templates/tokens/template-token"
import { mapping } from "./parse.ts"

/** What `success()`, `failure()` and `cancelled()` answer. */
export type Status = { success: boolean; failure: boolean; cancelled: boolean }

/** Everything an expression can see: the contexts by name (`github`, `secrets`, …) and the status. */
export type Scope = { contexts: Record<string, unknown>; status?: Status }

/** True when an `if` holds. */
export function holds(condition: string, scope: Scope): boolean {
  return truthy(evaluate(condition, scope))
}

/** A scalar of the file as the text that GitHub makes of it. */
export function text(token: TemplateToken | undefined, scope: Scope): string {
  if (token === undefined) return ""
  return isBasicExpression(token) ? evaluate(token.expression, scope).coerceString() : String(token)
}

/** A mapping of the file, such as `env` or `with`, as texts. */
export function texts(token: TemplateToken | undefined, scope: Scope): Record<string, string> {
  const entries = Array.from(mapping(token, "a mapping of texts"), ([key, value]) => [key, text(value, scope)])
  return Object.fromEntries(entries)
}

function evaluate(expression: string, { contexts, status }: Scope): data.ExpressionData {
  const values = Object.entries(contexts).map(([key, value]) => ({ key, value: expressionData(value) }))
  const functions = status ? statusFunctions(status) : []
  const tree = new Parser(new Lexer(expression).lex().tokens, Object.keys(contexts), functions).parse()
  return new Evaluator(
    tree,
    new data.Dictionary(...values),
    new Map(functions.map((one) => [one.name, one])),
  ).evaluate()
}

function statusFunctions({ success, failure, cancelled }: Status): FunctionDefinition[] {
  const answers = { success, failure, cancelled, always: true }
  return Object.entries(answers).map(([name, answer]) => {
    return { name, minArgs: 0, maxArgs: 0, call: () => new data.BooleanData(answer) }
  })
}

function expressionData(value: unknown): data.ExpressionData {
  return JSON.parse(JSON.stringify(value ?? null), data.reviver)
}
