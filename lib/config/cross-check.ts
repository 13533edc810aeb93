import { z } from "zod"
import { ruleProblems } from "./cross-check-rules.ts"
import { circles, serviceProblems } from "./cross-check-service.ts"
import { nearest } from "./nearest.ts"

/*
 * Read leniently, so that what the parts say of each other is checked even while single settings are wrong
 * and all problems appear at once. What is left out has a default: to catch it takes many times as long.
 */
const names = z.array(z.string()).default([]).catch([])
const anything = z.array(z.unknown()).default([]).catch([])
const lenient = z.looseObject({
  services: z.record(z.string(), z.looseObject({ dependsOn: names }).nullable().catch(null)).catch({}),
  databases: z
    .record(
      z.string(),
      z.looseObject({ writeUrl: z.unknown().optional(), decay: anything, cleanup: anything }).nullable().catch(null),
    )
    .catch({}),
  metrics: z
    .array(
      z
        .looseObject({ id: z.unknown().optional(), database: z.string().nullable().catch(null) })
        .nullable()
        .catch(null),
    )
    .catch([]),
})

/** Problems between settings: names that nothing has, and settings that need or exclude each other. */
export function crossCheck(input: unknown): string[] {
  const parsed = lenient.safeParse(input)
  if (!parsed.success) return []
  const { services, databases, metrics } = parsed.data
  const known = Object.keys(services)
  return [
    ...Object.entries(services).flatMap(([name, service]) => [
      ...unknownDependencies(name, service, known),
      ...serviceProblems(`services.${name}`, service),
    ]),
    ...circleProblems(services),
    ...Object.entries(databases).flatMap(([name, database]) => [
      ...databaseProblems(name, database),
      ...ruleProblems(`databases.${name}`, database),
    ]),
    ...metrics.flatMap((metric, index) =>
      unknownName(`metrics[${index}].database`, metric?.database, Object.keys(databases), "database"),
    ),
    ...repeatedIds(metrics),
  ]
}

type Lenient = z.output<typeof lenient>

function unknownDependencies(
  name: string,
  service: Lenient["services"][string] | undefined,
  known: string[],
): string[] {
  return (service?.dependsOn ?? []).flatMap((other, index) =>
    unknownName(`services.${name}.dependsOn[${index}]`, other, known, "service"),
  )
}

function circleProblems(services: Lenient["services"]): string[] {
  const dependsOn = new Map(Object.entries(services).map(([name, service]) => [name, service?.dependsOn ?? []]))
  return circles(dependsOn).map((circle) =>
    circle.length === 1
      ? `services.${circle[0]}.dependsOn names the service itself: remove it`
      : `services.${circle[0]}.dependsOn leads back to itself (${[...circle, circle[0]].join(" -> ")}): remove one of them`,
  )
}

function databaseProblems(name: string, database: Lenient["databases"][string] | undefined): string[] {
  if (!database || database.writeUrl !== undefined) return []
  const writers = [database.decay.length > 0 ? "decay" : "", database.cleanup.length > 0 ? "cleanup" : ""].filter(
    Boolean,
  )
  if (writers.length === 0) return []
  return [
    `databases.${name}.writeUrl is missing: ${writers.join(" and ")} of this database change rows, with secret("DATABASE_WRITE_URL") alone`,
  ]
}

function unknownName(path: string, name: string | null | undefined, known: string[], what: string): string[] {
  if (name === null || name === undefined || known.includes(name)) return []
  const close = nearest(name, known)
  const advice = close
    ? `did you mean ${close}?`
    : known.length > 0
      ? `there are: ${known.join(", ")}`
      : `there is no ${what} at all`
  return [`${path} names the ${what} ${JSON.stringify(name)}, which does not exist: ${advice}`]
}

function repeatedIds(metrics: Lenient["metrics"]): string[] {
  const ids = metrics.map((metric) => metric?.id)
  return ids.flatMap((id, index) =>
    id !== undefined && ids.indexOf(id) < index
      ? [`metrics[${index}].id is ${JSON.stringify(id)} again: every metric has an id of its own`]
      : [],
  )
}
