import { commonOptions } from "./command-line.ts"
import type { Job } from "./job.ts"
import { jobOptions } from "./job-options.ts"

/** The list of jobs, one line each. */
export function renderJobList(jobs: readonly Job[]): string {
  const width = Math.max(0, ...jobs.map((job) => job.name.length))
  const lines = jobs.map((job) => `  ${job.name.padEnd(width)}  ${job.about}`)
  return [
    "npm run job -- <name> [options]",
    "",
    ...lines,
    "",
    "npm run job -- <name> --help shows the options of one",
    "",
  ].join("\n")
}

/** What one job does and which options it has. */
export function renderHelp(job: Job): string {
  const own = jobOptions(job.options)
  const rows = [
    ...own.map((option) => [`--${option.flag}${option.takesValue ? " VALUE" : ""}`, ownText(option)]),
    ...commonOptions.map((option) => [`--${option.flag}${option.value ? ` ${option.value}` : ""}`, option.about]),
  ]
  const width = Math.max(...rows.map(([flag = ""]) => flag.length))
  const lines = rows.map(([flag = "", about = ""]) => `  ${flag.padEnd(width)}  ${about}`.trimEnd())
  return [`npm run job -- ${job.name} [options]`, "", job.about, "", ...lines, ""].join("\n")
}

function ownText(option: { about: string; isRequired: boolean; isRepeatable: boolean }): string {
  return [
    option.about,
    option.isRequired ? "(required)" : "",
    option.isRepeatable ? "(may be given several times)" : "",
  ]
    .filter(Boolean)
    .join(" ")
}
