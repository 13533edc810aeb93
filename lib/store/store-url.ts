import { fileURLToPath } from "node:url"
import { ConfigError } from "../core/config-error.ts"
import { keyProblem } from "./key.ts"

export type DirectoryAddress = { kind: "directory"; name: string; root: string }

export type S3Address = {
  kind: "s3"
  /** The URL as given, for people. */
  name: string
  bucket: string
  /** Empty, or ending with `/`. */
  prefix: string
  endpoint?: string
  region?: string
  forcePathStyle: boolean
  storageClass?: string
  encryption?: "AES256" | "aws:kms"
  kmsKeyId?: string
}

const s3Example = "s3://bucket/prefix?endpoint=https://host&region=name"
const s3Keys = ["endpoint", "region", "forcePathStyle", "storageClass", "sse", "kmsKeyId"]
const bucketPattern = /^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$/

/**
 * Reads the URL of a store. Throws a `ConfigError` that names `variable`, the value and the remedy;
 * credentials do not belong in the URL and are never repeated.
 */
export function parseStoreUrl(given: string, variable: string): DirectoryAddress | S3Address {
  const text = given.trim()
  const bad: Complain = (what, remedy) => {
    throw new ConfigError(`${variable} is ${JSON.stringify(withoutSecrets(text))}: ${what}: ${remedy}`)
  }
  if (text === "") throw new ConfigError(`${variable} is empty: set it to s3://bucket/prefix or file:///dir`)
  if (!URL.canParse(text)) return bad("it is not a URL", "write s3://bucket/prefix or file:///dir")
  const url = new URL(text)
  if (url.username || url.password) {
    bad("it holds credentials", "take them out and set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY")
  }
  if (url.hash) bad("it has a part after #", "leave that out, or write # as %23")
  if (url.protocol === "file:") return directoryAddress(url, bad)
  if (url.protocol === "s3:") return s3Address(url, text, bad)
  return bad(`the scheme ${url.protocol.slice(0, -1)} is not known`, "write s3://bucket/prefix or file:///dir")
}

type Complain = (what: string, remedy: string) => never

function directoryAddress(url: URL, bad: Complain): DirectoryAddress {
  if (url.host) bad(`${url.host} stands where a host does`, "write three slashes, as in file:///dir")
  if (url.search) bad("a directory takes no settings", "leave out the part after ?")
  if (url.pathname === "/") bad("it names no directory", "write file:///dir")
  if (decoded(url.pathname) === undefined || /%2f|%00/i.test(url.pathname))
    bad("its path cannot be read", "write % as %25")
  return { kind: "directory", name: url.href.replace(/\/$/, ""), root: fileURLToPath(url).replace(/\/$/, "") }
}

function s3Address(url: URL, text: string, bad: Complain): S3Address {
  if (!url.hostname) bad("it names no bucket", `write ${s3Example}`)
  if (url.port) bad("a bucket has no port", `give the server as endpoint: ${s3Example}`)
  if (!bucketPattern.test(url.hostname))
    bad(`${url.hostname} is no bucket name`, "use 3 to 63 of a-z, 0-9, dot and hyphen")
  const settings = settingsOf(url, bad)
  const endpoint = endpointOf(settings.get("endpoint"), bad)
  const encryption = encryptionOf(settings, bad)
  return {
    kind: "s3",
    name: decoded(text) ?? text,
    bucket: url.hostname,
    prefix: prefixOf(text, bad),
    ...endpoint,
    ...regionOf(settings.get("region"), endpoint?.endpoint),
    forcePathStyle: flagOf(settings.get("forcePathStyle"), bad) ?? endpoint !== undefined,
    ...storageClassOf(settings.get("storageClass"), bad),
    ...encryption,
  }
}

function settingsOf(url: URL, bad: Complain): Map<string, string> {
  const settings = new Map<string, string>()
  for (const [key, value] of url.searchParams) {
    if (!s3Keys.includes(key)) bad(`${JSON.stringify(key)} is not a setting`, `use ${s3Keys.join(", ")}`)
    if (settings.has(key)) bad(`${key} is given twice`, "keep one")
    if (value === "") bad(`${key} has no value`, "give one or leave it out")
    settings.set(key, value)
  }
  return settings
}

function prefixOf(text: string, bad: Complain): string {
  const given = text.replace(/[?#].*$/s, "").replace(/^s3:\/\/[^/]*\/?/i, "")
  if (given === "") return ""
  const prefix = decoded(given) ?? bad("its prefix cannot be read", "write % as %25")
  const parts = prefix.replace(/\/$/, "").split("/")
  if (parts.includes("")) bad("its prefix has an empty part", "remove the doubled slash")
  const problem = keyProblem(parts.join("/"))
  if (problem) bad(`its prefix cannot be used: ${problem}`, "use plain names")
  return `${parts.join("/")}/`
}

function endpointOf(value: string | undefined, bad: Complain): { endpoint: string } | undefined {
  if (value === undefined) return undefined
  const url = URL.canParse(value) ? new URL(value) : undefined
  if (url?.protocol !== "http:" && url?.protocol !== "https:")
    return bad("its endpoint is no http or https URL", "write endpoint=https://host")
  if (url.username || url.password)
    bad("its endpoint holds credentials", "take them out and set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY")
  if (url.pathname !== "/" || url.search || url.hash)
    bad("its endpoint has a path", "the bucket goes first: s3://bucket/prefix?endpoint=https://host")
  return { endpoint: url.origin }
}

/**
 * The region asked for, or the one that the endpoint's host tells (`s3.us-west-004.backblazeb2.com`), or for other endpoints `us-east-1`,
 * which MinIO, Ceph and R2 accept. Without an endpoint it is left to the SDK (AWS_REGION, its configuration files).
 */
function regionOf(value: string | undefined, endpoint: string | undefined): { region?: string } {
  if (value !== undefined) return { region: value }
  if (endpoint === undefined) return {}
  const told = /^s3[.-]([a-z]+-[a-z0-9-]+)\.[^.]+\.[^.]+$/.exec(new URL(endpoint).hostname)
  return { region: told?.[1] ?? "us-east-1" }
}

function flagOf(value: string | undefined, bad: Complain): boolean | undefined {
  if (value === undefined) return undefined
  if (value === "true" || value === "false") return value === "true"
  return bad(`forcePathStyle is ${JSON.stringify(value)}`, "write true or false")
}

function storageClassOf(value: string | undefined, bad: Complain): { storageClass?: string } {
  if (value === undefined) return {}
  if (value === "GLACIER" || value === "DEEP_ARCHIVE") {
    bad(
      `objects of class ${value} cannot be read for hours`,
      "use GLACIER_IR or STANDARD_IA, and move old sets by a lifecycle rule",
    )
  }
  if (!/^[A-Z0-9_]+$/.test(value))
    bad(`storageClass is ${JSON.stringify(value)}`, "write it as the provider does, such as STANDARD_IA")
  return { storageClass: value }
}

function encryptionOf(settings: Map<string, string>, bad: Complain): Pick<S3Address, "encryption" | "kmsKeyId"> {
  const sse = settings.get("sse")
  const kmsKeyId = settings.get("kmsKeyId")
  if (kmsKeyId !== undefined && sse !== "aws:kms")
    bad("kmsKeyId is given without sse=aws:kms", "add sse=aws:kms or leave the key out")
  if (sse === undefined) return {}
  if (sse !== "AES256" && sse !== "aws:kms") return bad(`sse is ${JSON.stringify(sse)}`, "write AES256 or aws:kms")
  return { encryption: sse, ...(kmsKeyId !== undefined && { kmsKeyId }) }
}

function decoded(text: string): string | undefined {
  try {
    return decodeURIComponent(text)
  } catch {
    return undefined // a stray %, or bytes that are no UTF-8
  }
}

function withoutSecrets(text: string): string {
  return text.replace(/[?#].*$/s, "").replace(/^.*@/s, "…@")
}
