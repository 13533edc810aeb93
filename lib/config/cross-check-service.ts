import { isIP } from "node:net"
import { z } from "zod"
import { assertionProblems, headerProblems } from "./cross-check-answer.ts"
import { maintenanceProblems } from "./cross-check-maintenance.ts"

/** The settings that say how a service is reached. */
const kinds = ["url", "tcp", "dns", "tls", "domain", "postgres", "redis"] as const
type Kind = (typeof kinds)[number]

/** Settings that mean something for some kinds only. */
const fits: Record<string, readonly Kind[]> = {
  method: ["url"],
  headers: ["url"],
  body: ["url"],
  redirects: ["url"],
  maxBytes: ["url"],
  expect: ["url"],
  caFile: ["url", "tls", "postgres", "redis"],
  queries: ["postgres"],
  keepWarm: ["url", "postgres"],
  sleepy: ["url", "tcp", "postgres", "redis"],
  latency: ["url", "tcp", "dns", "tls", "postgres", "redis"],
}

const keepWarmFits: Record<string, Kind> = { url: "url", marker: "url", sql: "postgres" }

const range = z.looseObject({ degradedMs: z.number().optional(), failMs: z.number().optional() }).default({}).catch({})
const shape = z.looseObject({
  tcp: z.string().optional().catch(undefined),
  tls: z.string().optional().catch(undefined),
  dns: z
    .looseObject({ server: z.string().optional().catch(undefined) })
    .optional()
    .catch(undefined),
  url: z.string().optional().catch(undefined),
  keepWarm: z.record(z.string(), z.unknown()).default({}).catch({}),
  latency: range,
  queries: range,
  numbers: z
    .record(z.string(), z.looseObject({ warn: z.number().optional(), fail: z.number().optional() }))
    .default({})
    .catch({}),
})

/** Problems between the settings of one service; each begins with its path. `input` may be wrong in any other way. */
export function serviceProblems(path: string, input: unknown): string[] {
  if (typeof input !== "object" || input === null) return []
  const given = Object.keys(input).filter((key) => Reflect.get(input, key) !== undefined)
  const ways = kinds.filter((kind) => given.includes(kind))
  const parsed = shape.safeParse(input)
  const isGiven = (...keys: string[]) => keys.some((key) => given.includes(key)) // most services have none of these
  return [
    ...(ways.length === 1 ? [] : [oneWay(path, ways)]),
    ...(ways[0] !== undefined && ways.length === 1 ? misfits(path, ways[0], given) : []),
    ...(parsed.success ? ownProblems(path, parsed.data, ways) : []),
    ...(isGiven("headers", "expect") ? headerProblems(path, input) : []),
    ...(isGiven("expect") ? assertionProblems(path, input) : []),
    ...(isGiven("maintenance") ? maintenanceProblems(path, input) : []),
  ]
}

function oneWay(path: string, ways: readonly Kind[]): string {
  const all = `${kinds.slice(0, -1).join(", ")} or ${kinds.at(-1)}`
  if (ways.length === 0) return `${path} does not say how it is reached: it takes one of ${all}`
  return `${path} has ${ways.join(" and ")}: it takes one of them, and a service of its own for each other`
}

function misfits(path: string, kind: Kind, given: readonly string[]): string[] {
  return given.flatMap((key) => {
    const wanted = fits[key]
    return wanted && !wanted.includes(kind)
      ? [`${path}.${key} does not fit a service with ${kind}: ${onlyWith(wanted)}`]
      : []
  })
}

function onlyWith(wanted: readonly string[]): string {
  return `it goes with ${wanted.join(", ")}; remove it`
}

function ownProblems(path: string, service: z.output<typeof shape>, ways: readonly Kind[]): string[] {
  return [
    ...placeProblems(path, service),
    ...keepWarmProblems(path, service.keepWarm, ways),
    ...orderProblem(`${path}.latency`, "degradedMs", service.latency.degradedMs, "failMs", service.latency.failMs),
    ...orderProblem(`${path}.queries`, "degradedMs", service.queries.degradedMs, "failMs", service.queries.failMs),
    ...Object.entries(service.numbers).flatMap(([name, { warn, fail }]) => {
      const at = `${path}.numbers[${JSON.stringify(name)}]`
      if (warn === undefined && fail === undefined) return [`${at} has no limit: it takes warn, fail or both`]
      return orderProblem(at, "warn", warn, "fail", fail)
    }),
  ]
}

function orderProblem(path: string, low: string, lower: number | undefined, high: string, upper: number | undefined) {
  if (lower === undefined || upper === undefined || lower <= upper) return []
  return [`${path}.${high} is ${upper}: it takes a number that is not below ${low}, ${lower}`]
}

function placeProblems(path: string, { tcp, tls, dns, url, keepWarm }: z.output<typeof shape>): string[] {
  const problems: string[] = []
  for (const [key, place] of Object.entries({ tcp, tls })) {
    const port = /:(\d+)$/.exec(place ?? "")?.[1]
    if (port !== undefined && (Number(port) < 1 || Number(port) > 65_535)) {
      problems.push(`${path}.${key} has the port ${port}: it takes one from 1 to 65535`)
    }
  }
  if (dns?.server !== undefined && !isServer(dns.server)) {
    problems.push(
      `${path}.dns.server is ${JSON.stringify(dns.server)}: it takes an IP address such as 1.1.1.1, with a port if need be`,
    )
  }
  for (const [key, text] of [
    ["url", url],
    ["keepWarm.url", keepWarm.url],
  ]) {
    const address = URL.parse(typeof text === "string" ? text : "")
    if (!address?.protocol.startsWith("http") || (address.username === "" && address.password === "")) continue
    problems.push(
      `${path}.${key} has user and password in it (not shown): use headers: { authorization: secret("API_AUTHORIZATION") }`,
    )
  }
  return problems
}

/** As `setServers` of Node takes it: `1.1.1.1`, `1.1.1.1:53`, `2001:db8::1`, `[2001:db8::1]:53`. */
function isServer(text: string): boolean {
  const [, bracketed, plain] = /^(?:\[([^\]]+)\](?::\d{1,5})?|(.+))$/.exec(text) ?? []
  if (bracketed !== undefined) return isIP(bracketed) === 6
  return isIP(plain ?? "") !== 0 || isIP((plain ?? "").replace(/:\d{1,5}$/, "")) === 4
}

function keepWarmProblems(path: string, keepWarm: Record<string, unknown>, ways: readonly Kind[]): string[] {
  const [kind] = ways
  if (ways.length !== 1 || kind === undefined || !fits.keepWarm?.includes(kind)) return []
  return Object.entries(keepWarmFits).flatMap(([key, wanted]) =>
    keepWarm[key] !== undefined && wanted !== kind
      ? [`${path}.keepWarm.${key} does not fit a service with ${kind}: ${onlyWith([wanted])}`]
      : [],
  )
}

/** Names of services of which each depends on the next and the last on the first, each circle once. */
export function circles(dependsOn: ReadonlyMap<string, readonly string[]>): string[][] {
  const found = new Map<string, string[]>()
  const finished = new Set<string>()
  const walk = (name: string, trail: readonly string[]) => {
    const at = trail.indexOf(name)
    if (at >= 0) {
      const circle = trail.slice(at)
      found.set(circle.toSorted().join(" "), circle)
      return
    }
    if (finished.has(name)) return
    for (const next of dependsOn.get(name) ?? []) walk(next, [...trail, name])
    finished.add(name)
  }
  for (const name of dependsOn.keys()) walk(name, [])
  return [...found.values()]
}
