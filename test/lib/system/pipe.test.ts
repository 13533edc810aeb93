import { createHash } from "node:crypto"
import { fstatSync, readdirSync } from "node:fs"
import { readdir } from "node:fs/promises"
import { tmpdir } from "node:os"
import { setTimeout as wait } from "node:timers/promises"
import { describe, expect, it } from "vitest"
import { freeBlock, openPipe } from "../../../lib/system/pipe.ts"
import { startProgram } from "../../../lib/system/program.ts"

/** Runs a shell script that writes into a new pipe. */
async function piped(script: string) {
  const pipe = await openPipe()
  const program = startProgram("sh", ["-c", script], { stdout: pipe.writeFd })
  pipe.closeWriteEnd()
  return { output: pipe.output, program }
}

async function read(output: AsyncIterable<Uint8Array>) {
  const hash = createHash("sha256")
  let bytes = 0
  for await (const chunk of output) {
    hash.update(chunk)
    bytes += chunk.length
  }
  return { bytes, sha256: hash.digest("hex") }
}

/** How many ends of kernel pipes this process holds. */
function openPipeEnds(): number {
  return readdirSync("/dev/fd").filter((fd) => {
    try {
      return fstatSync(Number(fd)).isFIFO()
    } catch {
      return false // the descriptor that was listing them
    }
  }).length
}

describe("the pipe to a program", () => {
  it("ends with what was written when the program is killed", async () => {
    const { output, program } = await piped("head -c 700000 /dev/zero; kill -9 $$")
    expect((await read(output)).bytes).toBe(700_000)
    await expect(program.succeeded()).rejects.toThrow("SIGKILL")
  })

  it("ends at once when the program cannot be started", async () => {
    const pipe = await openPipe()
    const program = startProgram("no-such-program", [], { stdout: pipe.writeFd })
    pipe.closeWriteEnd()
    expect((await read(pipe.output)).bytes).toBe(0)
    await expect(program.exited).rejects.toThrow("no-such-program")
  })

  it("lets the program know when nobody reads any more, and leaves no descriptor open", async () => {
    const before = openPipeEnds()
    const { output, program } = await piped("exec yes")
    await new Promise((resolve) => output.once("data", resolve))
    output.destroy()
    expect(await program.exited).toMatchObject({ killedBy: "SIGPIPE" })
    const unused = await openPipe()
    unused.output.destroy()
    await expect.poll(openPipeEnds).toBe(before)
  })

  it("carries every byte in order, in large blocks, through writes of any size", async () => {
    const script = "seq 1 1500000; printf x; head -c 3000000 /dev/zero | dd bs=4096 2>/dev/null; printf end"
    const { output, program } = await piped(script)
    const digits = Array.from({ length: 1_500_000 }, (_, index) => `${index + 1}\n`).join("")
    const expected = createHash("sha256").update(digits).update("x").update(Buffer.alloc(3_000_000)).update("end")
    expect(await read(output)).toEqual({ bytes: digits.length + 3_000_004, sha256: expected.digest("hex") })
    await program.succeeded()
  })

  it("makes the program wait while nobody reads", async () => {
    const { output, program } = await piped("exec yes")
    output.once("readable", () => undefined)
    await wait(200)
    expect(output.readableLength).toBeLessThanOrEqual(4 * 1024 * 1024)
    output.destroy()
    await program.exited
  })

  it("has no name that others could open", async () => {
    const pipe = await openPipe()
    const names = await readdir(tmpdir())
    expect(names.filter((name) => name.startsWith(`nightshift-pipe-${process.pid}-`))).toEqual([])
    pipe.output.destroy()
  })
})

describe("freeing a block", () => {
  it("takes its bytes away, and leaves bytes from elsewhere and parts of blocks alone", async () => {
    const { output, program } = await piped("head -c 600000 /dev/zero")
    const blocks: Buffer[] = []
    for await (const block of output) blocks.push(block)
    await program.succeeded()
    const foreign = Buffer.alloc(1024 * 1024)
    for (const bytes of [...blocks, foreign]) freeBlock(bytes)
    expect([...blocks, foreign].map((bytes) => bytes.length)).toEqual([0, 600_000 - 512 * 1024, 1024 * 1024])
  })
})
