import { join } from "node:path"
import { pathToFileURL } from "node:url"
import { ConfigError } from "../core/config-error.ts"
import type { SecretRef, SettingRef, VariableRef } from "./setting-ref.ts"

/** What a job uses a store for. Each use has credentials of its own, so that no job can do more than it must. */
export type StoreAccess = "write" | "read" | "delete"

/**
 * Where a job's `config` gets the values behind the references. Missing and malformed values are not thrown but
 * collected, so that one run names them all; what is returned for them is a placeholder that no run ever uses.
 */
export type Environment = {
  /** The value of a secret; `""` when it is missing. */
  secret(ref: SecretRef): string
  /** The value of a variable, parsed. A `ConfigError` of `parse` becomes a problem. */
  variable(ref: VariableRef): string
  variable<T>(ref: VariableRef, parse: (text: string, name: string) => T): T
  /** The value of a secret, parsed. A `ConfigError` of `parse` becomes a problem; it must not have the value in it. */
  parsedSecret<T>(ref: SecretRef, parse: (text: string, name: string) => T): T
  /** A plain variable that may be absent. */
  optional(name: string): string | undefined
  /** The URL of the backup store: `BACKUP_STORE`, or a directory of the checkout on a developer's machine. */
  storeUrl(access: StoreAccess): string
  /**
   * What `read` comes to. By hand, where nobody exports every secret, what it misses is the answer and no problem of the run: the job
   * says it of the part that needs it. In Actions it is a problem as always.
   */
  part<T>(read: (env: Environment) => T): { value: T } | { missing: string[] }
  /** This repository on GitHub, with the run's own token. Outside of Actions `GITHUB_TOKEN` and `GITHUB_REPOSITORY` must be exported. */
  github(): GitHubAccess
}

export type GitHubAccess = { token: string; repository: string; apiUrl: string }

/** Where values are hidden from every output. */
export type SecretSink = { add(secret: string): void }

export type LiveEnvironment = Environment & {
  /** What was missing or malformed so far, one line each. */
  problems(): string[]
}

export type LiveOptions = { root: string; inActions: boolean; redactor: SecretSink }

/** Answers from environment variables. Every secret that is read is hidden from all outputs from then on. */
export function liveEnvironment(values: Record<string, string | undefined>, options: LiveOptions): LiveEnvironment {
  const problems = new Set<string>()
  const present = (name: string) => (values[name]?.trim() ? values[name] : undefined)

  function required(ref: SettingRef): string {
    const value = present(ref.name)
    if (value === undefined) problems.add(missing(ref, options.inActions))
    else if (ref.kind === "secret") options.redactor.add(value)
    return value ?? ""
  }

  function parsed<T>(ref: SettingRef, parse: (text: string, name: string) => T): T {
    const text = required(ref)
    if (text === "") return placeholder<T>()
    try {
      return parse(text, ref.name)
    } catch (error) {
      if (!(error instanceof ConfigError)) throw new Error(`${ref.name} could not be parsed`, { cause: error })
      for (const problem of error.problems) problems.add(problem)
      return placeholder<T>()
    }
  }

  function variable(ref: VariableRef): string
  function variable<T>(ref: VariableRef, parse: (text: string, name: string) => T): T
  function variable<T>(ref: VariableRef, parse?: (text: string, name: string) => T): T | string {
    return parse ? parsed(ref, parse) : required(ref)
  }

  return {
    secret: required,
    variable,
    parsedSecret: parsed,
    optional: present,
    storeUrl() {
      for (const name of storeKeyNames) options.redactor.add(present(name) ?? "")
      const url = present("BACKUP_STORE")
      if (url === undefined && !options.inActions) return pathToFileURL(join(options.root, ".ops", "bucket")).href
      if (url === undefined) problems.add(storeMissing)
      return url ?? placeholderStoreUrl
    },
    github() {
      const [token, repository] = [present("GITHUB_TOKEN"), present("GITHUB_REPOSITORY")]
      if (token === undefined) problems.add(tokenMissing)
      else options.redactor.add(token)
      if (repository === undefined) problems.add("GITHUB_REPOSITORY is missing: export it as owner/name")
      return { token: token ?? "", repository: repository ?? "", apiUrl: present("GITHUB_API_URL") ?? githubApiUrl }
    },
    part(read) {
      const own = liveEnvironment(values, options)
      const value = read(own)
      const missing = own.problems()
      if (missing.length === 0) return { value }
      if (!options.inActions) return { missing }
      for (const problem of missing) problems.add(problem)
      return { value }
    },
    problems: () => [...problems],
  }
}

const githubApiUrl = "https://api.github.com"
export const tokenMissing =
  "GITHUB_TOKEN is missing: give the run's own token to this step of the workflow (npm run workflows); by hand export one, for example GITHUB_TOKEN=$(gh auth token)"
const storeKeyNames = ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"]
const placeholderStoreUrl = "file:///placeholder"
const storeMissing =
  "BACKUP_STORE is missing: set the repository variable to s3://bucket/prefix?endpoint=…&region=…, and give it to this step of the workflow"

function missing(ref: SettingRef, inActions: boolean): string {
  if (!inActions) return `${ref.name} is missing: export it, for example from a file that git ignores`
  return `${ref.name} is missing: add the ${ref.kind} under Settings > Secrets and variables > Actions, and give it to this step of the workflow (npm run workflows)`
}

/** One entry of a workflow step's `env`: the environment variable `env` gets the secret or variable `name`. */
export type Need = { env: string; kind: "secret" | "variable"; name: string }

export type RecordingEnvironment = Environment & {
  /** What was asked for, each once, by name. */
  needs(): Need[]
}

/** Answers placeholders and notes what was asked for: where the `env` of each workflow step comes from. */
export function recordingEnvironment(): RecordingEnvironment {
  const needs = new Map<string, Need>()
  const note = (env: string, kind: Need["kind"], name = env) => needs.set(env, { env, kind, name })

  function record<T>(ref: SettingRef, parse?: (text: string, name: string) => T): T {
    note(ref.name, ref.kind)
    return parse ? placeholder<T>() : (`placeholder-${ref.name}` as T)
  }

  const recording: RecordingEnvironment = {
    secret: (ref) => record<string>(ref),
    variable: record,
    parsedSecret: record,
    optional(name) {
      note(name, "variable")
      return undefined
    },
    storeUrl(access) {
      note("BACKUP_STORE", "variable")
      note("AWS_ACCESS_KEY_ID", "secret", `STORE_${access.toUpperCase()}_KEY_ID`)
      note("AWS_SECRET_ACCESS_KEY", "secret", `STORE_${access.toUpperCase()}_SECRET_KEY`)
      return placeholderStoreUrl
    },
    github() {
      note("GITHUB_TOKEN", "secret")
      return { token: "placeholder", repository: "owner/name", apiUrl: githubApiUrl }
    },
    part: (read) => ({ value: read(recording) }),
    needs: () => [...needs.values()].sort((a, b) => (a.env < b.env ? -1 : 1)),
  }
  return recording
}

/** Stands for a value of any shape: each of its properties, and what it returns when called, is itself again. */
function placeholder<T>(): T {
  const itself: unknown = new Proxy(() => undefined, {
    get: (_target, key) => (key === "then" ? undefined : (conversions[key as symbol] ?? itself)),
    apply: () => itself,
  })
  return itself as T
}

const conversions: Record<symbol, unknown> = {
  [Symbol.toPrimitive]: () => "placeholder",
  [Symbol.iterator]: function* () {},
}
