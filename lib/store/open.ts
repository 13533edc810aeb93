import { directoryStore } from "./directory.ts"
import type { S3Limits } from "./s3-client.ts"
import type { Store } from "./store.ts"
import { parseStoreUrl, type S3Address } from "./store-url.ts"

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
  return address.kind === "directory" ? directoryStore(address) : lazyS3Store(address, limits)
}

/** Loading the SDK takes longer than all the rest of a small job, and is of no use to a directory. */
function lazyS3Store(address: S3Address, limits: S3Limits): Store {
  let store: Promise<Store> | undefined
  const load = () => {
    store ??= import("./s3.ts").then(({ s3Store }) => s3Store(address, limits))
    return store
  }
  return {
    name: address.name,
    put: async (...args) => (await load()).put(...args),
    get: async (...args) => (await load()).get(...args),
    list: async (...args) => (await load()).list(...args),
    head: async (...args) => (await load()).head(...args),
    remove: async (...args) => (await load()).remove(...args),
    sweep: async (...args) => (await load()).sweep(...args),
  }
}
