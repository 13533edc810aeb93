import { expect, it } from "vitest"
import { defaultSeverities, severityOf } from "../../../lib/incident/severity.ts"

const of = (subject: string, more: object = {}, overrides = {}) =>
  severityOf({ subject, outcome: "fail", detail: "x", ...more }, overrides)

it("comes from the table when nobody says anything", () => {
  expect(of("service/api")).toBe("P1")
  expect(of("service/api/warmth")).toBe("P1")
  expect(of("provider/supabase")).toBe("P2")
  expect(of("database/main/backup")).toBe("P1")
  expect(of("database/main/backup/setup")).toBe("P3")
  expect(of("database/main/restore")).toBe("P2")
  expect(of("job/backup")).toBe("P2")
  expect(of("something")).toBe("P2")
})

it("is what the finding says, else the subject's own, else its longest beginning", () => {
  const overrides = { "*": "P3", "database/*": "P0", "database/main/*": "P2", "database/main/backup": "P1" } as const
  expect(of("database/main/backup", { severity: "P3" }, overrides)).toBe("P3")
  expect(of("database/main/backup", {}, overrides)).toBe("P1")
  expect(of("database/main/restore", {}, overrides)).toBe("P2")
  expect(of("database/other/backup", {}, overrides)).toBe("P0")
  expect(of("job/decay", {}, overrides)).toBe("P3")
  expect(of("constructor", {}, {})).toBe("P2")
})

it("of a warning is P2 at most, whoever says more", () => {
  expect(of("service/api", { outcome: "warn" })).toBe("P2")
  expect(of("service/api", { outcome: "warn", severity: "P0" })).toBe("P2")
  expect(of("service/api", { outcome: "warn", severity: "P3" })).toBe("P3")
})

it("has a table whose last line fits everything and whose lines can all be reached", () => {
  const example = (pattern: string) => pattern.replaceAll("*", "x")
  for (const { subject, severity } of defaultSeverities) expect(of(example(subject))).toBe(severity)
  expect(defaultSeverities.at(-1)?.subject).toBe("*")
})
