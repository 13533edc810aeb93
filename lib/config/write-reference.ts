import { writeFile } from "node:fs/promises"
import { renderReference } from "./reference.ts"

await writeFile(new URL("../../docs/configuration.md", import.meta.url), renderReference())
