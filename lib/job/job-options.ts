import { z } from "zod"

/** One option of a job as the command line shows it. */
export type JobOption = {
  /** The field of the job's schema, such as `olderThan`. */
  field: string
  /** The same on the command line, such as `older-than`. */
  flag: string
  takesValue: boolean
  isRepeatable: boolean
  isRequired: boolean
  about: string
}

type Field = { type?: string; description?: string; default?: unknown; enum?: unknown[] }
type Schema = { properties?: Record<string, Field>; required?: string[] }

/** The options that a job's schema describes: booleans are switches, lists may be given several times, all else takes a value. */
export function jobOptions(schema: z.ZodType | undefined): JobOption[] {
  if (!schema) return []
  const { properties = {}, required = [] } = z.toJSONSchema(schema, { io: "input", unrepresentable: "any" }) as Schema
  return Object.entries(properties).map(([field, { type, description = "", default: fallback, enum: values }]) => {
    const choices = values ? ` (${values.join(" or ")})` : ""
    const standard = fallback === undefined || fallback === false ? "" : ` (${JSON.stringify(fallback)} unless told)`
    return {
      field,
      flag: kebab(field),
      takesValue: type !== "boolean",
      isRepeatable: type === "array",
      isRequired: required.includes(field),
      about: `${description}${choices}${standard}`,
    }
  })
}

/**
 * The options in the form that the job's schema wants. Texts that are numbers are given as numbers where the schema
 * refuses the text; problems name the option as it is written on the command line.
 */
export function parseJobOptions(
  schema: z.ZodType | undefined,
  given: Record<string, unknown>,
): { options: unknown; problems: string[] } {
  if (!schema) return { options: {}, problems: [] }
  const numbers = schema.safeParse(withNumbers(schema, given))
  if (numbers.success) return { options: numbers.data, problems: [] }
  const problems = numbers.error.issues.map((issue) => {
    const flag = `--${kebab(String(issue.path[0] ?? ""))}`
    return given[String(issue.path[0])] === undefined
      ? `${flag} is missing: ${issue.message}`
      : `${flag}: ${issue.message}`
  })
  return { options: undefined, problems }
}

/** As people write numbers: `0x10` and `1e9` are mistakes. */
const decimal = /^-?\d+(?:\.\d+)?$/

function withNumbers(schema: z.ZodType, given: Record<string, unknown>): Record<string, unknown> {
  const { properties = {} } = z.toJSONSchema(schema, { io: "input", unrepresentable: "any" }) as Schema
  return Object.fromEntries(
    Object.entries(given).map(([field, value]) => {
      const isNumeric = ["number", "integer"].includes(properties[field]?.type ?? "")
      return [field, isNumeric && typeof value === "string" && decimal.test(value) ? Number(value) : value]
    }),
  )
}

function kebab(field: string): string {
  return field.replaceAll(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)
}
