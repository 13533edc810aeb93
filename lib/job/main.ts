import { errorText, stackText } from "../core/error-text.ts"
import { loadQuickly } from "../system/load-quickly.ts"
import { createRedactor, type Redactor } from "../system/redact.ts"

/*
 * The only file that knows the process: arguments, environment, signals, output and exit code.
 * The first signal ends the run in order, within 5 s; a second one at once. An error that nobody caught ends it
 * in order as well, so that it is told.
 */
const hardLimitMs = 4900
const stop = new AbortController()
let hasDefect = false

function end(reason: Error): void {
  if (stop.signal.aborted) process.exit(1)
  stop.abort(reason)
  setTimeout(() => process.exit(1), hardLimitMs).unref()
}

function endWithDefect(error: unknown): void {
  hasDefect = true
  const trace = error instanceof Error ? `\n${stackText(error)}` : ""
  process.stderr.write(crashRedactor().text(`unexpected error: ${errorText(error)}${trace}\n`))
  end(new Error("unexpected error", { cause: error }))
}

/** Which variables hold secrets is known to the run alone: here all that may be one are hidden. */
function crashRedactor(): Redactor {
  const redactor = createRedactor()
  for (const [name, value = ""] of Object.entries(process.env)) {
    if (/URL|KEY|SECRET|TOKEN|PASS|IDENTIT|WEBHOOK/i.test(name) || value.includes("://")) redactor.add(value)
  }
  return redactor
}

for (const name of ["SIGINT", "SIGTERM"] as const) process.on(name, () => end(new Error(`received ${name}`)))
for (const event of ["unhandledRejection", "uncaughtException"] as const) process.on(event, endWithDefect)

// A reader that went away (`npm run job | head`) is no reason to leave work half done.
for (const stream of [process.stdout, process.stderr]) {
  stream.on("error", (error: NodeJS.ErrnoException) => {
    if (error.code !== "EPIPE") throw error
  })
}

// Where a database is and how it is spoken to is in its URL alone. node-postgres looks into these as well (PGOPTIONS, PGCLIENTENCODING, …).
for (const name of Object.keys(process.env)) if (/^PG[A-Z]+$/.test(name)) delete process.env[name]

const { argv, env, stdout, stderr } = process
loadQuickly({ keepCompiled: !env.CI })
const inActions = env.GITHUB_ACTIONS === "true"
const actions = inActions ? (await import("../github/actions-output.ts")).actionsOutput : undefined
const place = { env, root: process.cwd(), stdout, stderr, ...(actions && { actions }) }
const input = { ...place, argv: argv.slice(2), signal: stop.signal }
const exitCode = await import("./cli.ts")
  .then(({ runCommandLine }) => runCommandLine(input))
  .catch((error: unknown) => {
    endWithDefect(error)
    return 1
  })
process.exit(hasDefect ? exitCode || 1 : exitCode)
