import { open, readFile } from "node:fs/promises"
import { join } from "node:path"
import { Readable } from "node:stream"
import { describe, expect, it } from "vitest"
import { startTimer } from "../../../lib/system/clock.ts"
import { runProgram, startProgram } from "../../../lib/system/program.ts"
import { ProgramFailed } from "../../../lib/system/program-failed.ts"
import { withTempDir } from "../../../lib/system/temp.ts"
import { unprivilegedUser } from "../../../lib/system/user.ts"

const isRoot = process.getuid?.() === 0
const ignoringTerm = ["-c", "trap '' TERM; echo ready; while :; do sleep 0.05; done"]

function shell(script: string, options: Parameters<typeof runProgram>[2] = {}) {
  return runProgram("sh", ["-c", script], options)
}

async function failureOf(promise: Promise<unknown>): Promise<ProgramFailed> {
  const error = await promise.then(
    () => undefined,
    (error: unknown) => error,
  )
  if (error instanceof ProgramFailed) return error
  throw new Error("expected a failed program", { cause: error })
}

function isAlive(pid: number | undefined): boolean {
  try {
    return pid !== undefined && process.kill(pid, 0)
  } catch {
    return false
  }
}

describe("a program that cannot work", () => {
  it("is named, with what to do, when it is missing", async () => {
    const failure = await failureOf(runProgram("no-such-program", []))
    expect(failure.message).toBe("no-such-program is missing: install it or put its folder on PATH")
  })

  it("is a rejection of the started program too, whether or not anyone waits for it", async () => {
    const program = startProgram("no-such-program", [], { input: "something" })
    await program.kill()
    await expect(program.exited).rejects.toThrow("is missing")
    await expect(program.succeeded()).rejects.toThrow("is missing")
    expect(program.pid).toBeUndefined()
  })

  it("says why it may not be run", async () => {
    const failure = await failureOf(runProgram("/etc/passwd", []))
    expect(failure.message).toContain("passwd may not be run: check the rights")
  })

  it("is a failure with its exit code and last words", async () => {
    const failure = await failureOf(shell("echo first >&2; echo 'the disk is full' >&2; exit 3"))
    expect(failure).toMatchObject({ exitCode: 3, killedBy: null, stderr: "first\nthe disk is full\n" })
    expect(failure.message).toBe("sh failed with exit code 3: first\nthe disk is full")
  })

  it("names the signal that killed it", async () => {
    const failure = await failureOf(shell("kill -KILL $$"))
    expect(failure).toMatchObject({ exitCode: null, killedBy: "SIGKILL" })
    expect(failure.message).toBe("sh was killed by SIGKILL")
  })

  it("is a failure when it ends well without having read all its input", async () => {
    const failure = await failureOf(shell("exit 0", { input: Buffer.alloc(5_000_000) }))
    expect(failure.message).toBe("sh ended before it read all its input")
  })

  it("reports its own failure rather than the broken pipe to it", async () => {
    const failure = await failureOf(shell("echo 'no such table' >&2; exit 1", { input: Buffer.alloc(5_000_000) }))
    expect(failure.message).toBe("sh failed with exit code 1: no such table")
  })

  it("is ended when the source of its input fails, and the source's error is what is told", async () => {
    async function* source() {
      yield Buffer.from("some")
      throw new Error("the download broke")
    }
    await expect(shell("cat > /dev/null; sleep 30", { input: Readable.from(source()) })).rejects.toThrow(
      "the download broke",
    )
  })

  it("is stopped when it writes more than may be kept", async () => {
    const failure = await failureOf(runProgram("yes", [], { maxOutputBytes: 100_000 }))
    expect(failure.message).toBe("yes wrote more than 100000 bytes to stdout")
  })
})

describe("a program that must end", () => {
  it("is killed after its time limit, and the limit is told", async () => {
    const elapsed = startTimer()
    const failure = await failureOf(shell("exec sleep 30", { timeoutMs: 100 }))
    expect(failure.message).toBe("sh did not end within 100 ms")
    expect(elapsed()).toBeLessThan(1500)
  })

  it("ends when the signal fires, and the signal's reason is what is told", async () => {
    const reason = new Error("the run was cancelled")
    const abort = new AbortController()
    const running = shell("exec sleep 30", { signal: abort.signal })
    abort.abort(reason)
    await expect(running).rejects.toBe(reason)
    expect(() => startProgram("sleep", ["30"], { signal: abort.signal })).toThrow(reason)
  })

  it("is killed the hard way 2 s later when it ignores that", async () => {
    const abort = new AbortController()
    const program = startProgram("sh", ignoringTerm, { signal: abort.signal })
    await new Promise((resolve) => program.stdout?.once("data", resolve))
    const elapsed = startTimer()
    abort.abort()
    expect(await program.exited).toMatchObject({ exitCode: null, killedBy: "SIGKILL" })
    expect(elapsed()).toBeGreaterThan(1900)
    expect(elapsed()).toBeLessThan(3500)
    expect(isAlive(program.pid)).toBe(false)
  })

  it("is not waited for through a grandchild that keeps its pipes open", async () => {
    const elapsed = startTimer()
    const { stdout } = await shell("echo done; sleep 4 &")
    expect(stdout).toBe("done\n")
    expect(elapsed()).toBeLessThan(3000)
  })
})

describe("a program that works", () => {
  it("gives back what it wrote, and gets its arguments as they are", async () => {
    const result = await runProgram("printf", ["%s|", "a b", "$HOME", "it's; rm -rf *", ""])
    expect(result).toEqual({ stdout: "a b|$HOME|it's; rm -rf *||", stderr: "" })
  })

  it("gets text, bytes or a stream as input", async () => {
    for (const input of ["schön", Buffer.from("schön"), Readable.from([Buffer.from("sch"), Buffer.from("ön")])]) {
      expect((await runProgram("cat", [], { input })).stdout).toBe("schön")
    }
    expect((await runProgram("cat", [], { input: "" })).stdout).toBe("")
  })

  it("gets the given environment and nothing of this process's own but the essentials", async () => {
    process.env.NIGHTSHIFT_CANARY = "secret"
    try {
      const { stdout } = await runProgram("env", [], { env: { PGPASSWORD: "x", HOME: "/elsewhere" } })
      const names = stdout
        .trim()
        .split("\n")
        .map((line) => line.split("=")[0])
      expect(names.filter((name) => !["PATH", "TMPDIR"].includes(name ?? "")).sort()).toEqual([
        "HOME",
        "LANG",
        "PGPASSWORD",
      ])
      expect(stdout).toContain("LANG=C\n")
      expect(stdout).toContain("HOME=/elsewhere\n")
    } finally {
      delete process.env.NIGHTSHIFT_CANARY
    }
  })

  it("tells its stderr line by line, and keeps the end of it", async () => {
    const lines: string[] = []
    const { stderr } = await shell("seq 1 30000 >&2; printf last >&2", { onStderrLine: (line) => lines.push(line) })
    expect(lines).toHaveLength(30_001)
    expect(lines.at(-1)).toBe("last")
    expect(stderr.length).toBeLessThanOrEqual(64 * 1024)
    expect(stderr.endsWith("30000\nlast")).toBe(true)
  })

  it("writes straight to a file descriptor", async () => {
    await withTempDir("program", async (dir) => {
      const file = await open(join(dir, "out"), "w")
      const program = startProgram("echo", ["through the kernel"], { stdout: file.fd })
      await program.succeeded()
      await file.close()
      expect(program.stdout).toBeNull()
      expect(await readFile(join(dir, "out"), "utf8")).toBe("through the kernel\n")
    })
  })

  it("runs as a user without rights when this is root, in no group of root's", async () => {
    const user = await unprivilegedUser()
    const { stdout } = await runProgram("id", [], user ? { user } : {})
    if (isRoot) expect(stdout).toMatch(new RegExp(`^uid=${user?.uid}\\(${user?.name}\\) gid=${user?.gid}\\b(?!.*root)`))
    else expect(user).toBeUndefined()
  })
})
