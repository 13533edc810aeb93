/** Something the user must correct: settings, options or input. Carries every problem found, and ends a run with exit code 2. */
export class ConfigError extends Error {
  readonly problems: readonly string[]

  constructor(problems: string | readonly string[]) {
    const all = typeof problems === "string" ? [problems] : problems
    super(all.join("; "))
    this.name = "ConfigError"
    this.problems = all
  }
}
