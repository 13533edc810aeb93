import type { Finding } from "../core/finding.ts"
import { isWorse, type Severity } from "../core/severity.ts"

/** One line of the table: `*` stands for one part of a subject, and at its end for all further parts. */
export type DefaultSeverity = { subject: string; severity: Severity; about: string }

/** What holds where neither the finding nor `alerts.severities` says anything; the first line that fits counts. */
export const defaultSeverities: readonly DefaultSeverity[] = [
  { subject: "service/*", severity: "P1", about: "people cannot use a part of the app" },
  { subject: "provider/*", severity: "P2", about: "a host has trouble; what fails by it counts by its own severity" },
  {
    subject: "database/*/backup/setup",
    severity: "P3",
    about: "backups are made, with less safety than they could have",
  },
  { subject: "database/*/backup", severity: "P1", about: "data written since the last backup could be lost" },
  { subject: "job/*", severity: "P2", about: "nightly work was not done" },
  { subject: "*", severity: "P2", about: "anything else that a job found" },
]

/**
 * How bad a finding is: what it says itself, else `alerts.severities` (the whole subject, else its longest beginning with `*`
 * at the end), else the table. A warning is `P2` at most, whoever says more.
 */
export function severityOf(finding: Finding, overrides: Readonly<Record<string, Severity>> = {}): Severity {
  const severity = finding.severity ?? overrideOf(finding.subject, overrides) ?? defaultOf(finding.subject)
  return finding.outcome === "warn" && isWorse(severity, "P2") ? "P2" : severity
}

/** The worse of two. */
export function worseSeverity(a: Severity, b: Severity): Severity {
  return isWorse(a, b) ? a : b
}

function overrideOf(subject: string, overrides: Readonly<Record<string, Severity>>): Severity | undefined {
  if (Object.hasOwn(overrides, subject)) return overrides[subject]
  const beginnings = Object.keys(overrides).filter((key) => key.endsWith("*") && subject.startsWith(key.slice(0, -1)))
  const longest = beginnings.reduce((best, key) => (key.length > best.length ? key : best), "")
  return overrides[longest]
}

function defaultOf(subject: string): Severity {
  return defaultSeverities.find((line) => fits(line.subject, subject))?.severity ?? "P2"
}

function fits(pattern: string, subject: string): boolean {
  const wanted = pattern.split("/")
  const parts = subject.split("/")
  const isOpenEnded = wanted.at(-1) === "*"
  if (isOpenEnded ? parts.length < wanted.length : parts.length !== wanted.length) return false
  return wanted.every((part, at) => part === "*" || part === parts[at])
}
