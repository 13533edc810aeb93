import { chmodSync, writeFileSync } from "node:fs"
import path from "node:path"

/** Puts a small shell program into a folder that stands first in, or is, the PATH of what is tested. */
export function writeProgram(folder: string, name: string, script: string): void {
  const file = path.join(folder, name)
  writeFileSync(file, `#!/bin/sh\n${script}\n`)
  chmodSync(file, 0o755)
}
