import { Cron } from "croner"
import { z } from "zod"
import { instant } from "./fields.ts"

const window = z
  .looseObject({ from: z.unknown(), to: z.unknown(), cron: z.unknown(), duration: z.unknown(), timezone: z.unknown() })
  .partial()
  .nullable()
  .catch(null)
const shape = z.looseObject({ maintenance: z.array(window).default([]).catch([]) })

/** Windows that are neither a single one (from, to) nor a recurring one (cron, duration), or that never are. */
export function maintenanceProblems(path: string, input: unknown): string[] {
  const parsed = shape.safeParse(input)
  if (!parsed.success) return []
  return parsed.data.maintenance.flatMap((one, index) =>
    one ? windowProblems(`${path}.maintenance[${index}]`, one) : [],
  )
}

function windowProblems(
  at: string,
  { from, to, cron, duration, timezone }: NonNullable<z.output<typeof window>>,
): string[] {
  const single = from !== undefined || to !== undefined
  const recurring = cron !== undefined || duration !== undefined
  if (single === recurring) {
    return [
      `${at} is ${single ? "both a single and a recurring window" : "empty"}: it takes from and to, or cron and duration`,
    ]
  }
  if (single && (from === undefined || to === undefined))
    return [`${at}.${from === undefined ? "from" : "to"} is missing: a single window takes from and to`]
  if (recurring && (cron === undefined || duration === undefined)) {
    return [`${at}.${cron === undefined ? "cron" : "duration"} is missing: a recurring window takes cron and duration`]
  }
  if (recurring) return cronProblem(at, cron)
  const problems =
    timezone === undefined ? [] : [`${at}.timezone is not used by a single window: write the offset into from and to`]
  const [begin, end] = [instant().safeParse(from), instant().safeParse(to)]
  if (begin.success && end.success && end.data <= begin.data)
    problems.push(`${at}.to is not after from: a window needs a length`)
  return problems
}

function cronProblem(at: string, cron: unknown): string[] {
  if (typeof cron !== "string") return []
  if (cron.trim().split(/\s+/).length !== 5)
    return [`${at}.cron is ${JSON.stringify(cron)}: it takes five fields, such as "0 3 * * 0"`]
  try {
    new Cron(cron, { paused: true })
    return []
  } catch {
    return [`${at}.cron is ${JSON.stringify(cron)}, which is no cron: it takes five fields, such as "0 3 * * 0"`]
  }
}
