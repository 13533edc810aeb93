/** Prints `N passed, N failed` of the checks in a folder: `<check>.code` is an exit code, `<check>.json` vitest's report. */
import { existsSync, readdirSync, readFileSync } from "node:fs"
import path from "node:path"

const folder = process.argv[2]
const sums = readdirSync(folder).flatMap((file) =>
  file.endsWith(".code") ? [sumOf(path.basename(file, ".code"))] : [],
)
const total = (which) => sums.reduce((sum, one) => sum + one[which], 0)
console.log(`${total("passed")} passed, ${total("failed")} failed`)

function sumOf(check) {
  const ended = Number(readFileSync(path.join(folder, `${check}.code`), "utf8")) === 0
  const report = path.join(folder, `${check}.json`)
  if (!existsSync(report)) return { passed: Number(ended), failed: Number(!ended) }
  const { numPassedTests, numFailedTests, testResults } = JSON.parse(readFileSync(report, "utf8"))
  const broken = testResults.filter(({ status, assertionResults }) => {
    return status === "failed" && !assertionResults.some((test) => test.status === "failed")
  })
  const failed = numFailedTests + broken.length
  // Red without a failed test: an error outside of any, or a server of the suite that did not start.
  return { passed: numPassedTests, failed: ended ? failed : Math.max(failed, 1) }
}
