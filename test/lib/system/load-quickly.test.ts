import { execFile } from "node:child_process"
import { promisify } from "node:util"
import { describe, expect, it } from "vitest"

/** What a process of its own prints that loads quickly. */
async function run(keepCompiled: boolean, code: string): Promise<string> {
  const file = new URL("../../../lib/system/load-quickly.ts", import.meta.url).href
  const script = `const { loadQuickly } = await import(${JSON.stringify(file)})
    loadQuickly({ keepCompiled: ${keepCompiled} })
    ${code}`
  const env = { PATH: process.env.PATH }
  const args = ["--import", "tsx", "--input-type=module", "-e", script]
  return (await promisify(execFile)(process.execPath, args, { env })).stdout.trim()
}

describe("loading quickly", () => {
  it("gives the modules that tsx gives: our own, of packages, and those that require each other", async () => {
    const define = new URL("../../../lib/config/define.ts", import.meta.url).href
    const code = `const { defineConfig, secret } = await import(${JSON.stringify(define)})
      const { z } = await import(import.meta.resolve("zod", ${JSON.stringify(define)}))
      const { request } = await import(import.meta.resolve("undici", ${JSON.stringify(define)}))
      console.log(typeof defineConfig, secret("A").name, z.string().parse("b"), typeof request)`
    expect(await run(false, code)).toBe("function A b function")
  })

  it("keeps what was compiled in the checkout's own node_modules, and only when it may", async () => {
    const code = 'console.log((await import("node:module")).getCompileCacheDir() ?? "nowhere")'
    expect(await run(false, code)).toBe("nowhere")
    const checkout = new URL("../../../", import.meta.url).pathname
    expect(await run(true, code)).toMatch(new RegExp(`^${RegExp.escape(`${checkout}node_modules/.cache/nightshift/`)}`))
  })
})
