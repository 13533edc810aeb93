import { runInNewContext } from "node:vm"
import { errorText } from "../core/error-text.ts"

/** How much of a text a pattern is held against. */
export const patternChars = 10_000
const patternMs = 200

/**
 * Whether a regular expression matches the first 10,000 characters of a text. A text that says why not when the pattern is none, or
 * takes longer than 200 ms, as some do on texts that they nearly match.
 */
export function matchesPattern(pattern: string, text: string): boolean | string {
  try {
    new RegExp(pattern)
  } catch (error) {
    return `the pattern is no regular expression (${errorText(error)})`
  }
  try {
    // A pattern can only be interrupted from outside its own script.
    const found: unknown = runInNewContext(
      "new RegExp(pattern).test(text)",
      { pattern, text: text.slice(0, patternChars) },
      { timeout: patternMs },
    )
    return found === true
  } catch (error) {
    return `the pattern took too long (${errorText(error)}): write it without nested repetitions`
  }
}
