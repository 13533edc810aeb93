import { chmod, chown, mkdir, mkdtemp, readdir, rename, stat, utimes, writeFile } from "node:fs/promises"
import { tmpdir } from "node:os"
import { basename, join } from "node:path"
import { expect, it } from "vitest"
import { runProgram } from "../../../lib/system/program.ts"
import { makeTempDir, removeTempDir, sweepStaleTempDirs, withTempDir } from "../../../lib/system/temp.ts"

const isMissing = (path: string) =>
  stat(path).then(
    () => false,
    () => true,
  )

it("removes the directory when the work fails, and passes the failure on", async () => {
  let seen = ""
  const failing = withTempDir("work", async (dir) => {
    seen = dir
    await mkdir(join(dir, "deep/er"), { recursive: true })
    await writeFile(join(dir, "deep/er/file"), "x")
    await chmod(join(dir, "deep/er/file"), 0o000)
    throw new Error("half-way")
  })
  await expect(failing).rejects.toThrow("half-way")
  expect(await isMissing(seen)).toBe(true)
})

it("gives a directory that only its owner can enter, with a name short enough for sockets", async () => {
  await withTempDir("A label that is much too long", async (dir) => {
    expect((await stat(dir)).mode & 0o777).toBe(0o700)
    expect(await readdir(dir)).toEqual([])
    expect(basename(dir)).toMatch(/^nightshift-a_label_that-\d+-[a-z0-9]+-\w{6}$/)
    expect(join(basename(dir), "socket/.s.PGSQL.65535").length).toBeLessThan(70)
  })
})

it("sweeps what a dead process left, and nothing of a living one", async () => {
  const mine = await makeTempDir("mine")
  const dead = await mkdtemp(
    join(
      tmpdir(),
      basename(mine)
        .replace(/mine-\d+/, `dead-${await deadPid()}`)
        .slice(0, -6),
    ),
  )
  try {
    const removed = await sweepStaleTempDirs(async () => undefined)
    expect(removed).toContain(dead)
    expect(await isMissing(dead)).toBe(true)
    expect(await isMissing(mine)).toBe(false)
  } finally {
    await removeTempDir(mine)
    await removeTempDir(dead)
  }
})

it("keeps what cannot be released, and says so after the others were removed", async () => {
  const pid = await deadPid()
  const sample = await makeTempDir("sample")
  const prefix = basename(sample)
    .replace(/sample-\d+/, `stuck-${pid}`)
    .slice(0, -6)
  const stuck = await mkdtemp(join(tmpdir(), prefix))
  const other = await mkdtemp(join(tmpdir(), prefix))
  try {
    const sweeping = sweepStaleTempDirs(async (dir) => {
      if (dir === stuck) throw new Error("its server does not stop")
    })
    await expect(sweeping).rejects.toMatchObject({ errors: [new Error("its server does not stop")] })
    expect(await isMissing(stuck)).toBe(false)
    expect(await isMissing(other)).toBe(true)
  } finally {
    for (const dir of [sample, stuck, other]) await removeTempDir(dir)
  }
})

it("leaves the directory of another pid namespace alone until it is a day old", async () => {
  const foreign = await mkdtemp(join(tmpdir(), `nightshift-far-${await deadPid()}-zzzz-`))
  try {
    await sweepStaleTempDirs(async () => undefined)
    expect(await isMissing(foreign)).toBe(false)
    await utimes(foreign, 1, 1)
    expect(await sweepStaleTempDirs(async () => undefined)).toContain(foreign)
  } finally {
    await removeTempDir(foreign)
  }
})

async function deadPid(): Promise<number> {
  return Number((await runProgram("sh", ["-c", "echo $$"])).stdout)
}

it("removes what root gave to the user of a server", async () => {
  const mine = await makeTempDir("socket")
  const gone = mine.replace(`-${process.pid}-`, "-4194304-")
  await rename(mine, gone)
  if (process.getuid?.() === 0) await chown(gone, 65_534, 65_534)
  expect(await sweepStaleTempDirs(async () => undefined)).toContain(gone)
})
