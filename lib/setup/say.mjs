import { writeSync } from "node:fs"

/** Something a person must do before the command can run. Ends with exit code 2. */
export class SetupError extends Error {}

/** Tells what is being done, on stderr. Says nothing when nobody can hear it any more. */
export function say(message) {
  try {
    writeSync(2, `set-up: ${message}\n`)
  } catch (error) {
    // The terminal or the reading end went away (a hang-up): cleaning up goes on without words.
    if (!["EPIPE", "EIO", "EAGAIN"].includes(error.code)) throw error
  }
}
