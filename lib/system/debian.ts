import { access } from "node:fs/promises"
import { runProgram } from "./program.ts"

const installTimeoutMs = 600_000

/** Whether this process could install Debian packages: apt-get is there, and it is root or may become root without a password. */
export async function canInstallPackages(): Promise<boolean> {
  try {
    await access("/usr/bin/apt-get")
    if (process.getuid?.() !== 0) await runProgram("sudo", ["-n", "true"], { timeoutMs: 10_000 })
    return true
  } catch {
    return false // the reason does not matter: there is another way to go on
  }
}

/** Installs Debian packages. Rejects with apt-get's own words. */
export async function installPackages(names: readonly string[], signal: AbortSignal): Promise<void> {
  await asRoot("apt-get", ["update", "-q"], signal)
  await asRoot("apt-get", ["install", "-q", "-y", "--no-install-recommends", ...names], signal)
}

/** Makes a locale of the C library, such as `en_US.UTF-8`. */
export async function generateLocale(name: string, signal: AbortSignal): Promise<void> {
  const [language = name, charset = "UTF-8"] = name.split("@")[0]?.split(".") ?? []
  const modifier = name.includes("@") ? `@${name.split("@")[1]}` : ""
  await asRoot(
    "localedef",
    ["--inputfile", `${language}${modifier}`, "--charmap", charset.replace(/^utf-?8$/i, "UTF-8"), name],
    signal,
  )
}

async function asRoot(program: string, args: readonly string[], signal: AbortSignal): Promise<void> {
  const isRoot = process.getuid?.() === 0
  const [file, all] = isRoot ? [program, args] : ["sudo", ["-n", program, ...args]]
  await runProgram(file, all, { env: { DEBIAN_FRONTEND: "noninteractive" }, signal, timeoutMs: installTimeoutMs })
}
