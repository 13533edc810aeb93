import { access } from "node:fs/promises"
import { delimiter, join } from "node:path"
import { CreateBucketCommand, PutBucketVersioningCommand, S3Client } from "@aws-sdk/client-s3"
import type { TestProject } from "vitest/node"
import { startCeph } from "./ceph.ts"
import { startS3rver } from "./s3rver.ts"

/** Where a test's S3 server is. Coordinates only: they cross from the main process to the workers as JSON. */
export type S3Coordinates = {
  /** `ceph` keeps all promises of S3 that Nightshift relies on; `s3rver` has no object lock and cannot list unfinished uploads. */
  kind: "ceph" | "s3rver"
  endpoint: string
  accessKeyId: string
  secretAccessKey: string
  region: string
}

export type S3Server = S3Coordinates & {
  createBucket(name: string, options?: BucketOptions): Promise<void>
  /** Ends all processes and removes all files. */
  stop(): Promise<void>
}

export type BucketOptions = { objectLock?: boolean; versioning?: boolean }

declare module "vitest" {
  export interface ProvidedContext {
    s3: S3Coordinates
  }
}

const cephPrograms = ["radosgw", "radosgw-admin", "ceph", "ceph-mon", "ceph-osd", "monmaptool"]

/** Starts a real S3 server: Ceph's gateway where it is installed (under a second), else npm's s3rver. Says which on stderr. */
export async function startS3(): Promise<S3Server> {
  const missing = await missingPrograms(cephPrograms)
  const server = missing.length === 0 ? await startCeph() : await startS3rver()
  const reason = missing.length === 0 ? "Ceph's radosgw" : `npm's s3rver, since ${missing.join(", ")} is not installed`
  process.stderr.write(`S3 server of the tests: ${reason}, at ${server.coordinates.endpoint}\n`)
  return {
    ...server.coordinates,
    createBucket: (name, options) => createBucket(server.coordinates, name, options),
    stop: server.stop,
  }
}

/** For vitest's globalSetup: starts the server once for the run and provides its coordinates as `s3`. */
export async function provideS3(project: TestProject): Promise<() => Promise<void>> {
  const { stop, createBucket: _, ...coordinates } = await startS3()
  project.provide("s3", coordinates)
  return stop
}

export default provideS3

/** A client of the server, to look at what a store did. Destroy it after use. */
export function s3Client({ endpoint, region, accessKeyId, secretAccessKey }: S3Coordinates): S3Client {
  return new S3Client({
    endpoint,
    region,
    credentials: { accessKeyId, secretAccessKey },
    forcePathStyle: true,
    requestChecksumCalculation: "WHEN_REQUIRED",
    responseChecksumValidation: "WHEN_REQUIRED",
  })
}

/** Makes a bucket. Names need 3 to 63 of a-z, 0-9 and hyphen. */
export async function createBucket(
  coordinates: S3Coordinates,
  name: string,
  options: BucketOptions = {},
): Promise<void> {
  const client = s3Client(coordinates)
  try {
    const lock = options.objectLock ? { ObjectLockEnabledForBucket: true } : {}
    await client.send(new CreateBucketCommand({ Bucket: name, ...lock }))
    if (!options.versioning) return
    const VersioningConfiguration = { Status: "Enabled" } as const
    await client.send(new PutBucketVersioningCommand({ Bucket: name, VersioningConfiguration }))
  } finally {
    client.destroy()
  }
}

/** The URL of a store on that server, as BACKUP_STORE takes it. */
export function s3UrlFor(
  { endpoint, region }: Pick<S3Coordinates, "endpoint" | "region">,
  bucket: string,
  prefix: string,
): string {
  return `s3://${bucket}/${prefix}?endpoint=${encodeURIComponent(endpoint)}&region=${region}`
}

/** What the environment of a program needs to reach the server. */
export function s3Environment({ accessKeyId, secretAccessKey }: S3Coordinates): Record<string, string> {
  return { AWS_ACCESS_KEY_ID: accessKeyId, AWS_SECRET_ACCESS_KEY: secretAccessKey }
}

async function missingPrograms(names: readonly string[]): Promise<string[]> {
  const folders = (process.env.PATH ?? "").split(delimiter)
  const isThere = await Promise.all(
    names.map(async (name) => {
      const found = await Promise.allSettled(folders.map((folder) => access(join(folder, name))))
      return found.some(({ status }) => status === "fulfilled")
    }),
  )
  return names.filter((_, index) => !isThere[index])
}
