import { setTimeout as wait } from "node:timers/promises"
import { expect, it } from "vitest"
import { largeBuffersEnvironment } from "../../../lib/system/large-buffers.ts"
import { startProgram } from "../../../lib/system/program.ts"

it("makes a program hold 20 kB back that would have come in parts", async () => {
  const env = await largeBuffersEnvironment("stdout")
  const program = startProgram("grep", ["-v", "nothing"], { env, stdin: "pipe" })
  const text = "a line of text\n".repeat(1400)
  let output = ""
  program.stdout?.on("data", (chunk) => {
    output += chunk
  })
  program.stdin?.write(text)
  await wait(150)
  expect(output === "").toBe("LD_PRELOAD" in env)
  program.stdin?.end()
  await program.succeeded()
  expect(output).toBe(text)
})

it("gives nothing but those variables", async () => {
  const { LD_PRELOAD: library, _STDBUF_O: size, ...rest } = await largeBuffersEnvironment("stdout")
  expect(rest).toEqual({})
  expect(library === undefined).toBe(size === undefined)
  expect(Object.keys(await largeBuffersEnvironment("stdin")).sort()).toEqual(
    library === undefined ? [] : ["LD_PRELOAD", "_STDBUF_I"],
  )
})
