import { directoryStore } from "./directory.ts"
import { s3Store } from "./s3.ts"
import type { S3Limits } from "./s3-client.ts"
import type { Store } from "./store.ts"
import { parseStoreUrl } from "./store-url.ts"

export type StoreOptions = S3Limits & {
  /** Name of the variable that holds the URL, for messages. */
  variable: string
}

/**
 * The store at `file:///dir` or `s3://bucket/prefix?endpoint=…&region=…&forcePathStyle=…&storageClass=…&sse=…&kmsKeyId=…`.
 * Throws a `ConfigError` for a URL that cannot be right; does not look whether the place exists.
 */
export function openStore(url: string, { variable, ...limits }: StoreOptions): Store {
  const address = parseStoreUrl(url, variable)
  return address.kind === "directory" ? directoryStore(address) : s3Store(address, limits)
}
