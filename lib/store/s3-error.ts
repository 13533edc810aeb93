import { S3ServiceException } from "@aws-sdk/client-s3"
import type { S3Address } from "./store-url.ts"

/** What was asked of the bucket, in words for a message, and the right it takes. */
export const operations = {
  store: "s3:PutObject",
  "store and lock": "s3:PutObject and s3:PutObjectRetention, and the bucket object lock switched on",
  lock: "s3:PutObjectRetention, and the bucket object lock switched on",
  read: "s3:GetObject",
  "look at": "s3:GetObject, and s3:ListBucket to tell a missing object from a forbidden one",
  list: "s3:ListBucket",
  remove: "s3:DeleteObject",
  "list the unfinished uploads of": "s3:ListBucketMultipartUploads",
  "end the unfinished upload of": "s3:AbortMultipartUpload",
} as const

export type Operation = keyof typeof operations

/** Says what a failed request means for whoever must act; the original error is the cause. */
export function s3Failure(error: unknown, operation: Operation, key: string, address: S3Address): Error {
  const meaning = answerMeaning(error, operation, address) ?? connectionMeaning(error, address)
  return new Error(`cannot ${operation} ${key || "everything"} in ${address.name}${meaning ? `: ${meaning}` : ""}`, {
    cause: error,
  })
}

/** The HTTP status and code that the server answered with, if it did. */
export function answerOf(error: unknown): { status: number; code: string; attempts: number } | undefined {
  if (!(error instanceof S3ServiceException)) return undefined
  const { httpStatusCode: status, attempts = 1 } = error.$metadata
  return status === undefined ? undefined : { status, code: error.name, attempts }
}

/** True when the error leaves open whether the server did what was asked: no answer, or one of the 500s. */
export function isUnclear(error: unknown): boolean {
  const answer = answerOf(error)
  return answer === undefined || answer.status >= 500
}

const keyProblems = [
  "InvalidAccessKeyId",
  "SignatureDoesNotMatch",
  "InvalidToken",
  "ExpiredToken",
  "TokenRefreshRequired",
]

function answerMeaning(
  error: unknown,
  operation: Operation,
  { bucket, prefix, region }: S3Address,
): string | undefined {
  const answer = answerOf(error)
  if (!answer) return undefined
  const { status, code, attempts } = answer
  const said = `the answer was ${status}${/^\d*$|^Unknown/.test(code) ? "" : ` ${code}`}`
  if (code === "NoSuchBucket")
    return `${said}: there is no bucket ${bucket} here: create it, or correct its name, region or endpoint`
  if (code === "RequestTimeTooSkewed") return `${said}: the clock of this machine is wrong: set it`
  if (keyProblems.includes(code))
    return `${said}: the access key is wrong or expired: check AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY`
  if (status === 301 || code === "AuthorizationHeaderMalformed" || code === "PermanentRedirect") {
    return `${said}: the bucket is not in region ${region ?? "of the environment"}: set region=… in the URL`
  }
  if (status === 403) return `${said}: the access key needs ${operations[operation]} on ${bucket}/${prefix}*`
  if (status >= 500 || status === 429)
    return `${said}, also at attempt ${attempts}: the provider is in trouble, or slows this key down: try later`
  return said
}

function connectionMeaning(error: unknown, { endpoint, bucket, region }: S3Address): string | undefined {
  if (!(error instanceof Error)) return undefined
  const host = endpoint ?? `the S3 endpoint of ${region ?? "the region"} for ${bucket}`
  const code = "code" in error ? String(error.code) : ""
  if (error.name === "CredentialsProviderError")
    return "there are no credentials: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"
  if (/^region is missing/i.test(error.message))
    return "its region is not known: add region=… to the URL, or set AWS_REGION"
  if (code === "ENOTFOUND" || code === "EAI_AGAIN")
    return `the name of ${host} is not known: correct it, or check the network`
  if (code === "ECONNREFUSED") return `nothing listens at ${host}: correct it, or start the server`
  if (code === "ECONNRESET" || code === "EPIPE")
    return `the connection to ${host} broke again and again: check the network`
  if (error.name === "TimeoutError") return `${host} did not answer in time: check the network and the server`
  if (/CERT|SELF_SIGNED|ISSUER|SSL|TLS/.test(code))
    return `the certificate of ${host} is not trusted: correct the host, or set NODE_EXTRA_CA_CERTS`
  return undefined
}
