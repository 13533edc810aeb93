import { writeFile } from "node:fs/promises"
import { fileURLToPath } from "node:url"
import { planWorkflows } from "./workflows.ts"

for (const { file, text, wanted } of await planWorkflows(fileURLToPath(new URL("../..", import.meta.url)))) {
  if (text !== wanted) await writeFile(file, wanted)
  console.log(`${file} ${text === wanted ? "is as it should be" : "was written"}`)
}
