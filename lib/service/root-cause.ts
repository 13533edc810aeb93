import type { Outcome } from "../core/outcome.ts"

/** A service as far as its place among the others goes. */
export type Node = { name: string; dependsOn: readonly string[]; outcome: Outcome }

type Chain = { name: string; depth: number }

/**
 * For each bad service that fails because of another one: the name of the one at the bottom, which has no bad one below it. A parent
 * is to blame when it is at least as bad. Of several at the bottom the one with the longest way to it, then the one that is named
 * first. One whose outcome nobody knows is looked through: what it depends on may be to blame.
 */
export function rootCauses(services: readonly Node[]): Map<string, string> {
  const byName = new Map(services.map((service) => [service.name, service]))
  const causes = new Map<string, string>()
  for (const service of services) {
    const cause = isBad(service.outcome)
      ? deepest(service, service.outcome, byName, new Set([service.name]))
      : undefined
    if (cause) causes.set(service.name, cause.name)
  }
  // In a circle each would be reported under another one, and nobody would hear of any.
  for (const [name, cause] of causes) if (causes.has(cause)) causes.delete(name)
  return causes
}

function deepest(
  service: Node,
  outcome: Outcome,
  byName: ReadonlyMap<string, Node>,
  above: ReadonlySet<string>,
): Chain | undefined {
  let best: Chain | undefined
  for (const name of service.dependsOn) {
    const parent = byName.get(name)
    if (!parent || above.has(name) || !mayBlame(parent, outcome)) continue
    const below = deepest(parent, outcome, byName, new Set([...above, name]))
    const chain = below
      ? { ...below, depth: below.depth + 1 }
      : parent.outcome === "unknown"
        ? undefined
        : { name, depth: 1 }
    if (chain && chain.depth > (best?.depth ?? 0)) best = chain
  }
  return best
}

function mayBlame(parent: Node, outcome: Outcome): boolean {
  return parent.outcome === "fail" || parent.outcome === "unknown" || (parent.outcome === "warn" && outcome === "warn")
}

function isBad(outcome: Outcome): boolean {
  return outcome === "fail" || outcome === "warn"
}
