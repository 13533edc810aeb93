import { parseArgs } from "node:util"
import type { z } from "zod"
import { nearest } from "../config/nearest.ts"
import { type JobOption, jobOptions, parseJobOptions } from "./job-options.ts"
import { parseInstant } from "./slot.ts"

/** What a person or workflow asked for. */
export type Command = {
  dryRun: boolean
  json: boolean
  again: boolean
  help: boolean
  config?: string
  now?: Date
  slot?: Date
  /** The job's own options, as its schema gives them; `undefined` when there are problems. */
  options: unknown
  /** Which of those were typed, such as `database=main`. */
  ownOptions: string[]
  /** Everything that is wrong with the arguments. */
  problems: string[]
}

/** The options that every job has: flag, what it takes, what it does. */
export const commonOptions: readonly { flag: string; value?: string; about: string }[] = [
  { flag: "dry-run", about: "show what would be done, change nothing, send no message" },
  { flag: "json", about: "print the run as one JSON document on stdout, and inside Actions no annotations" },
  { flag: "config", value: "FILE", about: "another configuration than ops.config.ts" },
  { flag: "now", value: "TIME", about: "act as if it were this time (ISO 8601, UTC unless told)" },
  { flag: "slot", value: "TIME", about: "the scheduled time that this run is for" },
  { flag: "again", about: "run although the slot is done" },
  { flag: "help", about: "show this text" },
]

/** The job's name and the other arguments. The name is the first argument that is no option and no value of a common one. */
export function splitName(argv: readonly string[]): { name?: string; rest: string[] } {
  const withValue = commonOptions.filter((option) => option.value).map((option) => `--${option.flag}`)
  const at = argv.findIndex(
    (argument, index) => !argument.startsWith("-") && !withValue.includes(argv[index - 1] ?? ""),
  )
  const name = argv[at]
  return name === undefined ? { rest: [...argv] } : { name, rest: argv.toSpliced(at, 1) }
}

/**
 * Reads the arguments after the job's name. An option of the job that was not typed is taken from `OPS_<OPTION>` in the environment,
 * such as `OPS_EXPECT_VERSION`: that is how a workflow passes its inputs. Problems are collected, never thrown.
 */
export function parseCommandLine(
  argv: readonly string[],
  schema?: z.ZodType,
  env: Readonly<Record<string, string | undefined>> = {},
): Command {
  const own = jobOptions(schema)
  const { tokens } = parseArgs({
    args: [...argv],
    options: argumentOptions(own),
    strict: false,
    allowPositionals: true,
    tokens: true,
  })
  const given = new Map<string, string[]>()
  const problems: string[] = []
  for (const token of tokens) {
    if (token.kind === "positional") problems.push(`"${token.value}" is one argument too many: options begin with --`)
    if (token.kind !== "option") continue
    const problem = optionProblem(token, own, given)
    if (problem) problems.push(problem)
    else given.set(token.name, [...(given.get(token.name) ?? []), token.value ?? ""])
  }
  for (const option of own) if (!given.has(option.flag)) addFromEnvironment(option, env, given, problems)
  return { ...readCommon(given, problems), ...readOwn(schema, own, given, problems), problems }
}

function argumentOptions(own: readonly JobOption[]) {
  const all = [
    ...commonOptions.map(({ flag, value }) => [flag, value !== undefined] as const),
    ...own.map((o) => [o.flag, o.takesValue] as const),
  ]
  return Object.fromEntries(
    all.map(([flag, takesValue]) => [flag, { type: takesValue ? ("string" as const) : ("boolean" as const) }]),
  )
}

/** Inputs that were not given are empty texts. Of an option that may be given several times the values have blanks between them. */
function addFromEnvironment(
  { flag, takesValue, isRepeatable }: JobOption,
  env: Readonly<Record<string, string | undefined>>,
  given: Map<string, string[]>,
  problems: string[],
): void {
  const name = `OPS_${flag.toUpperCase().replaceAll("-", "_")}`
  const text = env[name]?.trim() ?? ""
  if (text === "" || (!takesValue && text === "false")) return
  if (takesValue || text === "true") given.set(flag, isRepeatable ? text.split(/\s+/) : [text])
  else problems.push(`${name} is "${text}": it takes true or false`)
}

type OptionToken = { name: string; rawName: string; value: string | undefined; inlineValue: boolean | undefined }

function optionProblem(
  token: OptionToken,
  own: readonly JobOption[],
  given: ReadonlyMap<string, unknown>,
): string | undefined {
  const common = commonOptions.find((option) => option.flag === token.name)
  const job = own.find((option) => option.flag === token.name)
  if (!token.rawName.startsWith("--") || (!common && !job)) return unknownOption(token, own)
  const takesValue = common ? common.value !== undefined : job?.takesValue
  if (!takesValue && token.value !== undefined) return `${token.rawName} takes no value`
  if (takesValue && !token.value) return `${token.rawName} needs a value: write ${token.rawName}=VALUE`
  if (takesValue && !token.inlineValue && token.value?.startsWith("-"))
    return `${token.rawName} needs a value: write ${token.rawName}=VALUE`
  if (given.has(token.name) && !job?.isRepeatable) return `${token.rawName} was given twice`
  return undefined
}

function unknownOption(token: OptionToken, own: readonly JobOption[]): string {
  const close = nearest(
    token.name,
    [...commonOptions, ...own].map((option) => option.flag),
  )
  return `there is no option ${token.rawName}: ${close ? `did you mean --${close}?` : "--help lists them"}`
}

function readCommon(given: ReadonlyMap<string, string[]>, problems: string[]) {
  const config = given.get("config")?.[0]
  const now = readInstant("now", given, problems)
  const slot = readInstant("slot", given, problems)
  return {
    dryRun: given.has("dry-run"),
    json: given.has("json"),
    again: given.has("again"),
    help: given.has("help"),
    ...(config !== undefined && { config }),
    ...(now && { now }),
    ...(slot && { slot }),
  }
}

function readInstant(flag: string, given: ReadonlyMap<string, string[]>, problems: string[]): Date | undefined {
  const text = given.get(flag)?.[0]
  if (text === undefined) return undefined
  const instant = parseInstant(text)
  if (!instant) problems.push(`--${flag} is "${text}": it takes a time such as 2026-03-01T03:17Z`)
  return instant
}

function readOwn(
  schema: z.ZodType | undefined,
  own: readonly JobOption[],
  given: ReadonlyMap<string, string[]>,
  problems: string[],
) {
  const values = own.flatMap((option) => {
    const texts = given.get(option.flag)
    if (!texts) return []
    return [[option.field, option.isRepeatable ? texts : option.takesValue ? texts[0] : true] as const]
  })
  const parsed = parseJobOptions(schema, Object.fromEntries(values))
  problems.push(...parsed.problems)
  const ownOptions = values.map(([field, value]) => (value === true ? field : `${field}=${value}`))
  return { options: parsed.options, ownOptions }
}
