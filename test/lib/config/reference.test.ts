import { readFile } from "node:fs/promises"
import { expect, it } from "vitest"
import { renderReference } from "../../../lib/config/reference.ts"

const page = new URL("../../../docs/configuration.md", import.meta.url)

it("is the page in docs: npm run docs writes it anew", async () => {
  expect(await readFile(page, "utf8")).toBe(renderReference())
})

it("describes every setting, and says which must be there", () => {
  const rows = renderReference()
    .split("\n")
    .filter((line) => line.startsWith("| `"))
  expect(rows.length).toBeGreaterThan(50)
  for (const row of rows) expect(row, row).toMatch(/^\| `[\w.[\]<>]+` \| [^|]+ \|[^|]*\| \S[^|]*\. \|$/)
  expect(rows).toContainEqual(expect.stringMatching(/^\| `url` \| `secret\("DATABASE_URL"\)` \| \*\*required\*\* \|/))
  expect(rows).toContainEqual(expect.stringMatching(/^\| `backup\.rpoHours` \| number, 0\.1 to 8760 \| `26` \|/))
})
