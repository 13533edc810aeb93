import { expect, it } from "vitest"
import { aboutThresholds } from "../../../lib/decay/judge.ts"

it("a threshold's message does not speak of a job that failed, and the rule's own does", () => {
  const subjects = [
    "database/main/decay/fading",
    "database/main/decay/fading/0.3",
    "database/main/decay/odd name/-1e-7",
  ]
  const about = aboutThresholds(subjects.map((subject) => ({ subject, outcome: "warn", detail: "" })))
  expect(Object.keys(about)).toEqual(subjects.slice(1))
  expect(about["database/main/decay/fading/0.3"]?.impact).toContain("nothing was done to them")
})
