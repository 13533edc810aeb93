import { execFile } from "node:child_process"
import { readFile } from "node:fs/promises"
import { fileURLToPath } from "node:url"
import { promisify } from "node:util"
import { expect, it } from "vitest"
import { loadConfigOrDefaults, uncommentedConfig } from "../../../lib/config/commented-defaults.ts"
import { loadConfig } from "../../../lib/config/load.ts"
import { configText, makeCheckout } from "../../support/checkout.ts"

const root = fileURLToPath(new URL("../../..", import.meta.url))
const file = `${root}ops.config.ts`

it("does nothing as it comes", async () => {
  const config = await loadConfig(file)
  expect(config).toMatchObject({ services: {}, databases: {}, metrics: [], alerts: {} })
})

it("is a whole configuration once its commented lines are switched on", async () => {
  const config = await loadConfigOrDefaults(file)
  expect(Object.keys(config.services)).toEqual(["web", "api", "db"])
  expect(config.databases.main?.backup?.recipients.name).toBe("BACKUP_RECIPIENTS")
  expect(config.databases.main?.writeUrl?.name).toBe("DATABASE_WRITE_URL")
  expect(config.metrics).toHaveLength(1)
  expect(config.alerts.slack?.name).toBe("SLACK_WEBHOOK_URL")
})

it("has the right types once its commented lines are switched on", async () => {
  await using checkout = await makeCheckout()
  const text = uncommentedConfig(await readFile(file, "utf8")).replaceAll('"./lib/', `"${root}lib/`)
  await checkout.write("ops.config.ts", text)
  await checkout.write("package.json", '{ "type": "module" }')
  const options = { noEmit: true, typeRoots: [`${root}node_modules/@types`] }
  await checkout.write(
    "tsconfig.json",
    JSON.stringify({ extends: `${root}tsconfig.json`, compilerOptions: options, include: ["ops.config.ts"] }),
  )
  const tsc = promisify(execFile)(process.execPath, [`${root}node_modules/typescript/bin/tsc`, "-p", checkout.dir])
  await expect(tsc.catch((error: { stdout: string }) => error)).resolves.toMatchObject({ stdout: "" })
})

it("is taken as it is once it names a database", async () => {
  await using checkout = await makeCheckout()
  const text = configText(
    'app: { name: "Shop" },\n// services: { web: { url: "https://example.com" } },\ndatabases: { main: { url: secret("SHOP_URL") } }',
  )
  const config = await loadConfigOrDefaults(await checkout.write("ops.config.ts", text))
  expect(config.services).toEqual({})
  expect(config.databases.main?.url.name).toBe("SHOP_URL")
})
