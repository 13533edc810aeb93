import { S3Client } from "@aws-sdk/client-s3"
import type { S3Address } from "./store-url.ts"

export type S3Credentials = { accessKeyId: string; secretAccessKey: string; sessionToken?: string }

export type S3Limits = {
  /** Without them the SDK's own chain looks: environment, profile, role of the runner. */
  credentials?: S3Credentials
  /** How often a request is sent in all when the answer is 500, 502, 503, 504, a throttling, or a broken connection. Default 10: within about a minute. */
  attempts?: number
  /** How long a connection may be silent. Default 2 minutes. */
  idleMs?: number
}

/** What every request needs: the client, the address, and how long a connection may be silent. */
export type Bucket = { client: S3Client; address: S3Address; idleMs: number }

const connectMs = 10_000

/** A client for one bucket. Checksums are sent only where S3 demands them: some providers refuse the SDK's default ones. */
export function openBucket(address: S3Address, { credentials, attempts = 10, idleMs = 120_000 }: S3Limits): Bucket {
  const client = new S3Client({
    ...(address.endpoint !== undefined && { endpoint: address.endpoint }),
    ...(address.region !== undefined && { region: address.region }),
    ...(credentials && { credentials }),
    forcePathStyle: address.forcePathStyle,
    maxAttempts: attempts,
    retryMode: "standard",
    requestChecksumCalculation: "WHEN_REQUIRED",
    responseChecksumValidation: "WHEN_REQUIRED",
    requestHandler: { connectionTimeout: connectMs, socketTimeout: idleMs },
  })
  return { client, address, idleMs }
}
