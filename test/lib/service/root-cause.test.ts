import fc from "fast-check"
import { describe, expect, it } from "vitest"
import type { Outcome } from "../../../lib/core/outcome.ts"
import { type Node, rootCauses } from "../../../lib/service/root-cause.ts"

function node(name: string, outcome: Outcome, ...dependsOn: string[]): Node {
  return { name, outcome, dependsOn }
}

const causes = (...nodes: Node[]) => Object.fromEntries(rootCauses(nodes))

describe("the root cause", () => {
  it("of what fails by itself, or above what works, is nothing else", () => {
    expect(causes(node("api", "fail", "db"), node("db", "ok"))).toEqual({})
    expect(causes(node("api", "ok", "db"), node("db", "fail"))).toEqual({})
    expect(causes(node("api", "fail", "gone"))).toEqual({})
  })

  it("is the deepest that fails, for all above it", () => {
    const all = [
      node("web", "fail", "api"),
      node("api", "fail", "cache", "db"),
      node("cache", "ok"),
      node("db", "fail"),
    ]
    expect(causes(...all)).toEqual({ web: "db", api: "db" })
    const two = [
      node("web", "fail", "mail", "api"),
      node("mail", "fail"),
      node("api", "fail", "db"),
      node("db", "fail"),
    ]
    expect(causes(...two)).toEqual({ web: "db", api: "db" })
  })

  it("does not go through what works: what is below it did not reach the one above", () => {
    expect(causes(node("web", "fail", "api"), node("api", "ok", "db"), node("db", "fail"))).toEqual({})
  })

  it("is looked for below what nobody knows", () => {
    expect(causes(node("web", "fail", "api"), node("api", "unknown", "db"), node("db", "fail"))).toEqual({ web: "db" })
    expect(causes(node("web", "fail", "api"), node("api", "unknown"))).toEqual({})
  })

  it("is never less bad than what it is blamed for", () => {
    expect(causes(node("api", "fail", "db"), node("db", "warn"))).toEqual({})
    expect(causes(node("api", "warn", "db"), node("db", "warn"))).toEqual({ api: "db" })
    expect(causes(node("api", "warn", "db"), node("db", "fail"))).toEqual({ api: "db" })
  })

  it("in a circle leaves one to hear of", () => {
    expect(causes(node("a", "fail", "b"), node("b", "fail", "a"))).toEqual({ b: "a" })
  })

  it("leaves one failing service to hear of, whatever hangs on what", () => {
    const outcomes = fc.array(fc.constantFrom<Outcome>("ok", "warn", "fail", "unknown"), { minLength: 1, maxLength: 9 })
    const property = fc.property(outcomes, fc.infiniteStream(fc.boolean()), (list, edges) => {
      // Each depends on some of those after it, so that there is no circle.
      const nodes = list.map((outcome, index) =>
        node(`s${index}`, outcome, ...list.flatMap((_, at) => (at > index && edges.next().value ? [`s${at}`] : []))),
      )
      const found = rootCauses(nodes)
      const bad = nodes.filter(({ outcome }) => outcome === "fail")
      for (const [name, cause] of found) {
        expect(found.has(cause), `${cause}, blamed for ${name}, has a cause itself`).toBe(false)
        expect(["fail", "warn"]).toContain(nodes.find((one) => one.name === cause)?.outcome)
      }
      expect(bad.length === 0 || bad.some(({ name }) => !found.has(name))).toBe(true)
    })
    fc.assert(property, { numRuns: 500, seed: 20261120 })
  })
})
