import { ConfigError } from "../core/config-error.ts"
import { parseCommandLine, splitName } from "./command-line.ts"
import { findJob, jobNames } from "./find.ts"
import { renderHelp, renderJobList } from "./help.ts"
import { type RunInput, runJob } from "./runner.ts"

export type CommandLineInput = Omit<RunInput, "job" | "name">

/**
 * The command line as people type it: no name lists the jobs, `--help` shows one job's options, anything else runs it.
 * Resolves with the exit code.
 */
export async function runCommandLine(input: CommandLineInput): Promise<number> {
  const { name, rest } = splitName(input.argv)
  const wantsHelp = rest.includes("--help") || rest.includes("-h")
  try {
    if (name === undefined) return await list(input, rest, wantsHelp)
    if (wantsHelp) {
      input.stdout.write(renderHelp(await findJob(input.root, name)))
      return 0
    }
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error
    for (const problem of error.problems) input.stderr.write(`${problem}\n`)
    return 2
  }
  const { exitCode } = await runJob({ ...input, name, argv: rest })
  return exitCode
}

async function list({ root, stdout }: CommandLineInput, rest: string[], wantsHelp: boolean): Promise<number> {
  const problems = parseCommandLine(rest).problems
  if (problems.length > 0) throw new ConfigError(problems)
  if (rest.length > 0 && !wantsHelp) throw new ConfigError("no job is named: npm run job lists them")
  const jobs = await Promise.all((await jobNames(root)).map((name) => findJob(root, name)))
  stdout.write(renderJobList(jobs))
  return 0
}
