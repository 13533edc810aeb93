import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { pathToFileURL } from "node:url"
import { loadConfig } from "./load.ts"
import type { OpsConfig } from "./schema.ts"

/**
 * A configuration file with all its switched-off settings on. In `ops.config.ts` a line that begins with `//` is
 * a switched-off setting and nothing else; prose is in block comments.
 */
export function uncommentedConfig(text: string): string {
  return text.replaceAll(/^([ \t]*)\/\/ ?/gm, "$1")
}

/**
 * The configuration that the environment of the workflows is made from: the file as it is, or, as long as it configures
 * neither databases nor services, with its switched-off settings on.
 */
export async function loadConfigOrDefaults(file: string): Promise<OpsConfig> {
  const config = await loadConfig(file)
  if (Object.keys(config.databases).length > 0 || Object.keys(config.services).length > 0) return config
  const dir = await mkdtemp(join(tmpdir(), "nightshift-config-"))
  try {
    const copy = join(dir, "ops.config.ts")
    await writeFile(copy, withAbsoluteImports(uncommentedConfig(await readFile(file, "utf8")), file))
    return await loadConfig(copy)
  } finally {
    await rm(dir, { recursive: true })
  }
}

function withAbsoluteImports(text: string, file: string): string {
  return text.replaceAll(/(\bfrom\s+["'])(\.\.?\/[^"']+)/g, (_all, before: string, specifier: string) => {
    return before + new URL(specifier, pathToFileURL(file)).href
  })
}
