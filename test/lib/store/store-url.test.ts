import { describe, expect, it } from "vitest"
import { ConfigError } from "../../../lib/core/config-error.ts"
import { parseStoreUrl } from "../../../lib/store/store-url.ts"

const parse = (url: string) => parseStoreUrl(url, "BACKUP_STORE")
const messageOf = (url: string) => {
  try {
    parse(url)
  } catch (error) {
    expect(error).toBeInstanceOf(ConfigError)
    return (error as Error).message
  }
  throw new Error(`${url} was accepted`)
}

describe("the URL of a store", () => {
  it.each([
    ["", "BACKUP_STORE is empty: set it to s3://bucket/prefix or file:///dir"],
    ["/backups", "it is not a URL: write s3://bucket/prefix or file:///dir"],
    ["ftp://host/dir", "the scheme ftp is not known"],
    ["https://bucket.s3.amazonaws.com/x", "the scheme https is not known"],
    ["s3:///prefix", "it names no bucket"],
    ["s3://", "it names no bucket"],
    ["s3://My_Bucket/x", "is no bucket name"],
    ["s3://bucket:9000/x", "a bucket has no port"],
    ["s3://bucket//x", "its prefix has an empty part"],
    ["s3://bucket/a//b", "its prefix has an empty part"],
    ["s3://bucket/a/../b", ".. is not allowed"],
    ["s3://bucket/%2e%2e/b", ".. is not allowed"],
    ["s3://bucket/a%zz", "its prefix cannot be read"],
    ["s3://bucket/x#y", "it has a part after #"],
    ["s3://bucket/x?endpiont=https://h", '"endpiont" is not a setting: use endpoint, region'],
    ["s3://bucket/x?region=", "region has no value"],
    ["s3://bucket/x?region=a&region=b", "region is given twice"],
    ["s3://bucket/x?endpoint=localhost:9000", "its endpoint is no http or https URL"],
    ["s3://bucket/x?endpoint=https://h/bucket", "its endpoint has a path"],
    ["s3://bucket/x?forcePathStyle=yes", "write true or false"],
    ["s3://bucket/x?sse=yes", "write AES256 or aws:kms"],
    ["s3://bucket/x?kmsKeyId=abc", "kmsKeyId is given without sse=aws:kms"],
    ["s3://bucket/x?storageClass=DEEP_ARCHIVE", "cannot be read for hours: use GLACIER_IR or STANDARD_IA"],
    ["s3://bucket/x?storageClass=cold storage", "write it as the provider does"],
    ["file://backups/x", "write three slashes"],
    ["file:///", "it names no directory"],
    ["file:///x?region=a", "a directory takes no settings"],
    ["file:///a%2fb", "its path cannot be read"],
  ])("%s is refused, with the variable, the value and a remedy", (url, reason) => {
    expect(messageOf(url)).toContain(reason)
    expect(messageOf(url)).toMatch(/^BACKUP_STORE is /)
  })

  it.each([
    "s3://AKIAKEY:hunter2@bucket/x",
    "s3://bucket/x?endpoint=https://AKIAKEY:hunter2@host",
    "s3://bucket/x?accessKeyId=AKIAKEY&secretAccessKey=hunter2",
    "file://AKIAKEY:hunter2@host/x",
    "AKIAKEY:hunter2@bucket/x",
    "http://AKIAKEY:hunter2@host/x?token=hunter2",
  ])("%s is refused without repeating a credential", (url) => {
    expect(messageOf(url)).not.toMatch(/AKIAKEY|hunter2/)
  })

  it("reads a bucket with its settings", () => {
    const url =
      "s3://bucket/team/é%20b/?endpoint=http://127.0.0.1:9000&region=eu&storageClass=STANDARD_IA&sse=aws:kms&kmsKeyId=k1"

    expect(parse(url)).toEqual({
      kind: "s3",
      name: url.replace("%20", " "),
      bucket: "bucket",
      prefix: "team/é b/",
      endpoint: "http://127.0.0.1:9000",
      region: "eu",
      forcePathStyle: true,
      storageClass: "STANDARD_IA",
      encryption: "aws:kms",
      kmsKeyId: "k1",
    })
  })

  it("leaves region and addressing of AWS to the SDK, and knows the region of an endpoint that tells it", () => {
    expect(parse("s3://bucket")).toEqual({
      kind: "s3",
      name: "s3://bucket",
      bucket: "bucket",
      prefix: "",
      forcePathStyle: false,
    })
    const regionAt = (host: string) => parse(`s3://bucket/x?endpoint=https://${host}`)
    expect(regionAt("s3.us-west-004.backblazeb2.com")).toMatchObject({ region: "us-west-004", forcePathStyle: true })
    expect(regionAt("s3.fr-par.scw.cloud")).toMatchObject({ region: "fr-par" })
    expect(regionAt("minio.example.com")).toMatchObject({ region: "us-east-1" })
    expect(parse("s3://bucket/x?endpoint=https://h&forcePathStyle=false")).toMatchObject({ forcePathStyle: false })
  })

  it("reads a directory", () => {
    expect(parse("file:///var/back%20ups/")).toEqual({
      kind: "directory",
      name: "file:///var/back%20ups",
      root: "/var/back ups",
    })
  })
})
