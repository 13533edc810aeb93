/** One variable of a step: the environment variable `env` gets the secret or variable `name` of the repository. */
export type StepVariable = { env: string; kind: "secret" | "variable"; name: string }

/** From `# nightshift:env <job>` to `# nightshift:env end`, both on lines of their own. */
const block = /^([ \t]*)# nightshift:env ([a-z][a-z0-9-]*)\n([\s\S]*?)^[ \t]*# nightshift:env end$/gm

/** The jobs that a workflow has a marked block for, in order. Throws when a mark has no counterpart. */
export function markedJobs(workflow: string): string[] {
  const jobs = Array.from(workflow.matchAll(block), (match) => match[2] ?? "")
  const marks = workflow.match(/# nightshift:env /g)?.length ?? 0
  if (marks !== 2 * jobs.length) {
    throw new Error(
      `${marks} lines have "# nightshift:env" and ${jobs.length} blocks are whole: each begins with # nightshift:env <job> and ends with # nightshift:env end`,
    )
  }
  return jobs
}

/** A workflow with the lines of each marked block replaced by those that its job needs. Everything else stays as it is. */
export function writeMarkedBlocks(workflow: string, variables: ReadonlyMap<string, readonly StepVariable[]>): string {
  return workflow.replaceAll(block, (_all, indent: string, job: string) => {
    const lines = (variables.get(job) ?? []).map((variable) => `${indent}${line(variable)}\n`)
    return `${indent}# nightshift:env ${job}\n${lines.join("")}${indent}# nightshift:env end`
  })
}

function line({ env, kind, name }: StepVariable): string {
  return `${env}: \${{ ${kind === "secret" ? "secrets" : "vars"}.${name} }}`
}
