import { existsSync, readFileSync } from "node:fs"
import { resolve } from "node:path"
import type { ConnectionOptions } from "node:tls"
import { ConfigError } from "../core/config-error.ts"

/**
 * How a connection is protected, with one meaning for node-postgres and libpq:
 * - `disable`: clear text;
 * - `require`: encrypted, to whoever answers (the certificate is not looked at);
 * - `verify-ca`: the certificate must be signed by the CA file;
 * - `verify-full`: and be made out to the host's name.
 *
 * `ca` is a file, or `system` for the bundle of this machine.
 */
export type Tls =
  | { mode: "disable" }
  | { mode: "require" }
  | { mode: "verify-ca"; ca: string }
  | { mode: "verify-full"; ca: string }

export type TlsWish = {
  mode: string | undefined
  ca: string | undefined
  channelBinding: string | undefined
  host: string
}

/**
 * Decides what a URL's `sslmode`, `sslrootcert` and `channel_binding` mean. Returns a problem as text, with its remedy.
 *
 * Without `sslmode`: remote hosts and every server with a CA file get `verify-full`, local ones clear text.
 * `require` with a CA file is `verify-ca`, as in libpq; with `channel_binding=require`, which node-postgres cannot insist on, it is
 * `verify-full`. `allow` and `prefer` fall back to clear text silently: fine for a local host (there they mean `disable`), refused else.
 */
export function chooseTls({ mode, ca, channelBinding, host }: TlsWish): Tls | string {
  if (host.startsWith("/")) return { mode: "disable" } // libpq ignores sslmode for sockets
  const wanted = mode ?? (ca || !isLocal(host) ? "verify-full" : "disable")
  switch (wanted) {
    case "disable":
      return { mode: "disable" }
    case "allow":
    case "prefer":
      if (isLocal(host)) return { mode: "disable" }
      return `sslmode=${wanted} may fall back to clear text without a word: use verify-full, or disable inside a private network`
    case "require":
      if (channelBinding === "require") return { mode: "verify-full", ca: ca ?? "system" }
      if (ca === "system") return weakSystem("require")
      return ca ? { mode: "verify-ca", ca } : { mode: "require" }
    case "verify-ca":
      return ca && ca !== "system" ? { mode: "verify-ca", ca } : weakSystem("verify-ca")
    case "verify-full":
      return { mode: "verify-full", ca: ca ?? "system" }
    default:
      return "sslmode is none of disable, require, verify-ca, verify-full: remove it for verify-full"
  }
}

/** True for sockets and loopback addresses: what is said there does not leave the machine. */
export function isLocal(host: string): boolean {
  return host.startsWith("/") || host === "localhost" || host === "::1" || /^127(\.\d{1,3}){3}$/.test(host)
}

/** The `ssl` value of node-postgres. Reads the CA file; throws `ConfigError` when that is not possible. */
export function nodeTls(tls: Tls): false | ConnectionOptions {
  if (tls.mode === "disable") return false
  if (tls.mode === "require") return { rejectUnauthorized: false }
  const ca = readCa(caPath(tls.ca))
  return tls.mode === "verify-ca" ? { ca, checkServerIdentity: () => undefined } : { ca }
}

/** The file of certificates that are trusted; for `system` the bundle of this machine. Throws `ConfigError` when there is none. */
export function caPath(ca: string): string {
  if (ca !== "system") return resolve(ca)
  const path = systemBundles.find((path) => existsSync(path))
  if (path) return path
  throw new ConfigError(
    `this machine has no bundle of certificate authorities (looked for ${systemBundles.join(", ")}): install the package ca-certificates, or set caFile`,
  )
}

// libpq before 16 knows no sslrootcert=system, and node trusts a list of its own: both are given the same file instead.
const systemBundles = [
  "/etc/ssl/certs/ca-certificates.crt", // Debian, Ubuntu, Arch, Alpine
  "/etc/pki/tls/certs/ca-bundle.crt", // Fedora, RHEL
  "/etc/ssl/ca-bundle.pem", // openSUSE
  "/etc/ssl/cert.pem", // macOS, Alpine, BSD
  "/opt/homebrew/etc/ca-certificates/cert.pem",
  "/usr/local/etc/ca-certificates/cert.pem",
]

function readCa(path: string): string {
  let text: string
  try {
    text = readFileSync(path, "utf8")
  } catch (error) {
    throw new ConfigError(
      `the CA file ${path} cannot be read (${error instanceof Error && "code" in error ? error.code : error})`,
    )
  }
  if (text.includes("-----BEGIN CERTIFICATE-----")) return text
  throw new ConfigError(`the CA file ${path} holds no certificate in PEM form`)
}

function weakSystem(mode: string): string {
  return `sslmode=${mode} with the certificate authorities of the system would trust anybody's certificate: use verify-full, or name the provider's own CA in caFile`
}
