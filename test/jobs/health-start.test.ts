import { execFile } from "node:child_process"
import { readFile } from "node:fs/promises"
import { join } from "node:path"
import { promisify } from "node:util"
import { expect, it } from "vitest"
import { makeCheckout, moduleUrl } from "../support/checkout.ts"
import { startWebServer } from "../support/web-server.ts"

/** Notes the address of whatever is found by its name; so each package is entered, its own files may pass a hook by. */
const watcher = `import { appendFileSync } from "node:fs"
import { registerHooks } from "node:module"
registerHooks({ resolve(specifier, context, next) {
  const found = next(specifier, context)
  appendFileSync(process.env.LOADED, found.url + "\\n")
  return found
} })`

it("loads no library that looking at one web service does not need", async () => {
  await using web = await startWebServer()
  web.setRoute("/", { status: 200, headers: {}, body: "well" })
  await using checkout = await makeCheckout(`app: { name: "Shop" }, services: { web: { url: "${web.url}/" } }`)
  await checkout.write("watch.mjs", watcher)
  const loaded = join(checkout.dir, "loaded.txt")
  const main = new URL(moduleUrl("lib/job/main.ts")).pathname
  const config = join(checkout.dir, "ops.config.ts")
  const args = [
    "--import",
    join(checkout.dir, "watch.mjs"),
    "--import",
    "tsx",
    main,
    "health",
    "--json",
    "--config",
    config,
  ]
  const place = { LEDGER: `file://${checkout.dir}/ledger`, INCIDENTS: `file://${checkout.dir}/incidents` }
  const { stdout } = await promisify(execFile)(process.execPath, args, {
    env: { PATH: process.env.PATH, LOADED: loaded, ...place },
  })
  expect(JSON.parse(stdout)).toMatchObject({ exitCode: 0, findings: [{ subject: "service/web", outcome: "ok" }] })
  const modules = (await readFile(loaded, "utf8")).split("\n")
  expect(modules.some((url) => url.includes("node_modules/undici/"))).toBe(true)
  const heavy = /node_modules\/(@aws-sdk|@smithy|@octokit|@actions|@redis|@slack|pg|json-p3|age-encryption)\//
  expect(modules.filter((url) => heavy.test(url))).toEqual([])
})
