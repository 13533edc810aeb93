import { userInfo } from "node:os"
import { onTestFinished } from "vitest"
import { runProgram } from "../../lib/system/program.ts"
import { makeTempDir, removeTempDir } from "../../lib/system/temp.ts"

const { uid, gid } = userInfo()
const asRoot = (args: readonly string[]) =>
  uid === 0 ? runProgram("env", args) : runProgram("sudo", ["--non-interactive", ...args])

/** Whether this machine lets tests mount a file system: Linux as root, or with a sudo that asks for no password. */
export const canMount = await asRoot(["true"]).then(
  () => process.platform === "linux",
  () => false,
)
if (!canMount) process.stderr.write("no file system can be mounted here: the tests of full disks are left out\n")

/** The path of a disk of this many MB, until the test ends. */
export async function smallDisk(megabytes: number): Promise<string> {
  const dir = await makeTempDir("disk")
  const options = `size=${megabytes}m,mode=0711,uid=${uid},gid=${gid}`
  await asRoot(["mount", "-t", "tmpfs", "-o", options, "tmpfs", dir])
  onTestFinished(async () => {
    await asRoot(["umount", "--lazy", dir])
    await removeTempDir(dir)
  })
  return dir
}
