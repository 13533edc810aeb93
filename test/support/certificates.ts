import { X509Certificate } from "node:crypto"
import { readFile, writeFile } from "node:fs/promises"
import { join } from "node:path"
import { runProgram } from "../../lib/system/program.ts"
import { withTempDir } from "../../lib/system/temp.ts"

/**
 * Certificates of a server on this machine. All but `self-signed` are signed by an authority of our own;
 * `incomplete` by one in between, which the server does not send; `wrong-host` is for `other.example` only.
 */
export type CertificateKind = "valid" | "expired" | "expiring" | "not-yet" | "wrong-host" | "self-signed" | "incomplete"

/** `ca` is what must be trusted for `cert` to be good; all are PEM texts. */
export type Certificate = { cert: string; key: string; ca: string; validTo: Date }

type Pair = { cert: string; key: string }

/** Days that an `expiring` certificate is still good for. */
export const expiringDays = 5

const dayMs = 24 * 3600 * 1000
const ours = "DNS:localhost,IP:127.0.0.1,IP:::1"
const made = new Map<CertificateKind, Promise<Certificate>>()
let authority: Promise<Pair> | undefined

/** Makes a certificate with the `openssl` program, once in the life of this process. Leaves no file behind. */
export function certificateFor(kind: CertificateKind): Promise<Certificate> {
  const known = made.get(kind) ?? make(kind)
  made.set(kind, known)
  return known
}

async function make(kind: CertificateKind): Promise<Certificate> {
  const pair = await makePair(kind)
  return { ...pair, validTo: new X509Certificate(pair.cert).validToDate }
}

async function makePair(kind: CertificateKind): Promise<Pair & { ca: string }> {
  if (kind === "self-signed") {
    const own = await selfSigned("localhost", ours)
    return { ...own, ca: own.cert }
  }
  authority ??= selfSigned("Nightshift test authority")
  const root = await authority
  const names = kind === "wrong-host" ? "DNS:other.example" : ours
  const between =
    kind === "incomplete" ? await signed("Nightshift authority in between", undefined, root, validity(kind)) : root
  return { ...(await signed("localhost", names, between, validity(kind))), ca: root.cert }
}

function validity(kind: CertificateKind): [Date, Date] {
  const now = Math.floor(Date.now() / 1000) * 1000
  if (kind === "expired") return [new Date(now - 90 * dayMs), new Date(now - 2 * dayMs)]
  if (kind === "expiring") return [new Date(now - 85 * dayMs), new Date(now + expiringDays * dayMs + 3600_000)]
  if (kind === "not-yet") return [new Date(now + 2 * dayMs), new Date(now + 92 * dayMs)]
  return [new Date(now - dayMs), new Date(now + 89 * dayMs)]
}

/** Without names it is an authority. */
async function selfSigned(name: string, alternatives?: string): Promise<Pair> {
  return withTempDir("cert", async (dir) => {
    const extensions = alternatives
      ? ["basicConstraints=CA:FALSE", `subjectAltName=${alternatives}`]
      : ["basicConstraints=critical,CA:TRUE"]
    await openssl(dir, [
      ...["req", "-x509", ...newKey, "-keyout", "key.pem", "-out", "cert.pem", "-days", "89", "-subj", `/CN=${name}`],
      ...["-config", await emptyConfig(dir)],
      ...extensions.flatMap((extension) => ["-addext", extension]),
    ])
    return readPair(dir)
  })
}

/** Without names it is an authority itself. `openssl ca`, since `openssl x509` of version 3.0 takes no dates. */
async function signed(
  name: string,
  alternatives: string | undefined,
  by: Pair,
  [from, to]: [Date, Date],
): Promise<Pair> {
  return withTempDir("cert", async (dir) => {
    await writeFile(join(dir, "ca.pem"), by.cert)
    await writeFile(join(dir, "ca-key.pem"), by.key, { mode: 0o600 })
    await writeFile(join(dir, "index.txt"), "")
    await writeFile(join(dir, "ca.cnf"), authorityConfig(dir, alternatives))
    await openssl(dir, [
      ...["req", "-new", ...newKey, "-keyout", "key.pem", "-out", "request.pem", "-subj", `/CN=${name}`],
      ...["-config", await emptyConfig(dir)],
    ])
    await openssl(dir, [
      ...["ca", "-batch", "-notext", "-config", "ca.cnf", "-in", "request.pem", "-out", "cert.pem"],
      ...["-startdate", opensslDate(from), "-enddate", opensslDate(to)],
    ])
    return readPair(dir)
  })
}

const newKey = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]

async function emptyConfig(dir: string): Promise<string> {
  const path = join(dir, "request.cnf")
  await writeFile(path, "[req]\ndistinguished_name = name\nprompt = no\n[name]\n")
  return path
}

function authorityConfig(dir: string, alternatives: string | undefined): string {
  return `[ca]
default_ca = ours
[ours]
new_certs_dir = ${dir}
database = ${dir}/index.txt
certificate = ${dir}/ca.pem
private_key = ${dir}/ca-key.pem
rand_serial = yes
default_md = sha256
policy = anything
x509_extensions = extensions
[anything]
commonName = supplied
[extensions]
basicConstraints = critical,CA:${alternatives ? "FALSE" : "TRUE"}
subjectKeyIdentifier = hash
authorityKeyIdentifier = keyid
${alternatives ? `subjectAltName = ${alternatives}` : ""}
`
}

function opensslDate(date: Date): string {
  return `${date.toISOString().replace(/[-:T]/g, "").slice(0, 14)}Z`
}

async function readPair(dir: string): Promise<Pair> {
  return {
    cert: await readFile(join(dir, "cert.pem"), "utf8"),
    key: await readFile(join(dir, "key.pem"), "utf8"),
  }
}

async function openssl(dir: string, args: string[]): Promise<void> {
  await runProgram("openssl", args, { cwd: dir, timeoutMs: 20_000 })
}
