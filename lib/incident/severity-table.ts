import { severities } from "../core/severity.ts"
import { reactions } from "./advice.ts"
import { defaultSeverities } from "./severity.ts"

/** The tables of docs/incident-response.md, made from what the code goes by. */
export function renderSeverities(): string {
  const levels = severities.map((severity) => {
    const { means, look, update } = reactions[severity]
    return `| ${severity} | ${means} | ${look} | ${update} |`
  })
  const subjects = defaultSeverities.map(
    ({ subject, severity, about }) => `| \`${subject}\` | ${severity} | ${about} |`,
  )
  return [
    "| severity | it means | somebody looks | the others hear of progress |",
    "| --- | --- | --- | --- |",
    ...levels,
    "",
    "| subject | severity | because |",
    "| --- | --- | --- |",
    ...subjects,
  ].join("\n")
}
