import { createHash, randomBytes } from "node:crypto"
import { readFile, writeFile } from "node:fs/promises"
import { join } from "node:path"
import { inflateSync } from "node:zlib"
import { generateHybridIdentity, generateX25519Identity, identityToRecipient } from "age-encryption"
import * as vectors from "cctv-age"
import { describe, expect, it } from "vitest"
import { decryptAge, encryptAge } from "../../../lib/seal/age.ts"
import { runProgram } from "../../../lib/system/program.ts"
import { withTempDir } from "../../../lib/system/temp.ts"

async function* pieces(bytes: Uint8Array, step = 50_000) {
  for (let at = 0; at < bytes.length; at += step) yield bytes.subarray(at, at + step)
}

async function collect(chunks: AsyncIterable<Uint8Array>): Promise<Buffer> {
  const parts: Uint8Array[] = []
  for await (const chunk of chunks) parts.push(chunk)
  return Buffer.concat(parts)
}

const encrypt = (bytes: Uint8Array, ...recipients: string[]) => collect(encryptAge(pieces(bytes), recipients))
const decrypt = (bytes: Uint8Array, ...identities: string[]) => collect(decryptAge(pieces(bytes, 1000), identities))

async function newKey(generate = generateX25519Identity) {
  const identity = await generate()
  return { identity, recipient: await identityToRecipient(identity) }
}

describe("an age file", () => {
  it("says what is wrong with it", async () => {
    const [mine, other, hybrid] = [await newKey(), await newKey(), await newKey(generateHybridIdentity)]
    const file = await encrypt(randomBytes(1000), mine.recipient)
    const changed = Buffer.from(file.toString("latin1").replace("\n---", "\n-> grease\n\n---"), "latin1")
    await expect(decrypt(file, other.identity)).rejects.toThrow(/^wrong key: the private key at hand .*\(X25519\)$/)
    await expect(decrypt(file, other.identity, hybrid.identity)).rejects.toThrow("none of the 2 private keys")
    await expect(decrypt(changed, mine.identity)).rejects.toThrow("the age header was changed")
    await expect(decrypt(file.subarray(0, 90), mine.identity)).rejects.toThrow("the age header is cut off")
    await expect(decrypt(Buffer.alloc(0), mine.identity)).rejects.toThrow("it is empty")
    await expect(decrypt(Buffer.from("age"), mine.identity)).rejects.toThrow("not an age file")
    await expect(decrypt(Buffer.from("PGDMP and more"), mine.identity)).rejects.toThrow("not an age file")
    await expect(decrypt(Buffer.from("-----BEGIN AGE ENCRYPTED FILE-----\n"), mine.identity)).rejects.toThrow("armored")
  })

  it("with a header that never ends is given up early", async () => {
    let taken = 0
    async function* endless() {
      yield Buffer.from("age-encryption.org/v1\n-> X25519 a\n")
      for (; taken < 100; taken++) yield Buffer.alloc(64 * 1024, "a")
    }
    await expect(collect(decryptAge(endless(), [(await newKey()).identity]))).rejects.toThrow("no end within")
    expect(taken).toBeLessThan(10)
  })

  it("is not made for nobody", async () => {
    await expect(encrypt(Buffer.from("x"))).rejects.toThrow("no recipients")
  })

  it("lacks its last chunk when the source fails", async () => {
    const { identity, recipient } = await newKey()
    async function* failing() {
      yield randomBytes(64 * 1024)
      throw new Error("half-way")
    }
    const parts: Uint8Array[] = []
    const sealing = (async () => {
      for await (const part of encryptAge(failing(), [recipient])) parts.push(part)
    })()
    await expect(sealing).rejects.toThrow("half-way")
    await expect(decrypt(Buffer.concat(parts), identity)).rejects.toThrow("cut off")
  })

  it("opens with each of its keys, classic or post-quantum", async () => {
    for (const generate of [generateX25519Identity, generateHybridIdentity]) {
      const keys = [await newKey(generate), await newKey(generate)]
      const plain = randomBytes(200_000)
      const file = await encrypt(plain, ...keys.map((key) => key.recipient))
      for (const { identity } of keys) expect((await decrypt(file, identity)).equals(plain)).toBe(true)
    }
  })
})

describe("the age program", () => {
  it("opens what is sealed here, and what it seals opens here", async () => {
    const { identity, recipient } = await newKey()
    await withTempDir("age", async (dir) => {
      const path = (name: string) => join(dir, name)
      await writeFile(path("key.txt"), identity, { mode: 0o600 })
      for (const size of [0, 1, 65_535, 65_536, 65_537, 131_072, 1_000_003]) {
        const plain = randomBytes(size)
        await writeFile(path("ours.age"), await encrypt(plain, recipient))
        await writeFile(path("plain"), plain)
        await runProgram("sh", ["-c", "age --decrypt --identity key.txt ours.age > opened"], { cwd: dir })
        await runProgram("age", ["--encrypt", "--recipient", recipient, "--output", path("theirs.age"), path("plain")])
        expect((await readFile(path("opened"))).equals(plain)).toBe(true)
        expect((await decrypt(await readFile(path("theirs.age")), identity)).equals(plain)).toBe(true)
      }
    })
  })
})

type Vector = { name: string; expected: string; payload: string | undefined; identities: string[]; file: Uint8Array }

/** What a vector demands, and how that is said here. */
const failures: Record<string, RegExp> = {
  "no match": /^wrong key/,
  "HMAC failure": /^the age header was changed/,
  "header failure": /^this is not an age file|^the age header|cut off: its last chunk is missing/,
  "payload failure": /^the sealed data/,
}

/** Out of scope: armor is text for mail, and a passphrase (scrypt) is no key that a job at night could hold. */
const outOfScope = ["armored", "passphrase"]

function parseVectors(): Vector[] {
  return Object.entries(vectors).flatMap(([name, bytes]) => {
    const all = Buffer.from(bytes)
    const end = all.indexOf("\n\n")
    const fields = all
      .toString("utf8", 0, end)
      .split("\n")
      .map((line) => line.split(": "))
    const values = (key: string) => fields.flatMap(([field, value]) => (field === key && value ? [value] : []))
    if (outOfScope.some((field) => values(field).length > 0)) return []
    const [expected = ""] = values("expect")
    const body = all.subarray(end + 2)
    const file = values("compressed").length > 0 ? inflateSync(body) : body
    return [{ name, expected, payload: values("payload")[0], identities: values("identity"), file }]
  })
}

describe("the vectors of the age project", () => {
  const all = parseVectors()

  it("are found", () => {
    expect(all.length).toBeGreaterThan(80)
    expect(new Set(all.map((vector) => vector.expected))).toEqual(new Set(["success", ...Object.keys(failures)]))
  })

  it.each(all)("$name: $expected", async ({ expected, payload, identities, file }) => {
    const hash = createHash("sha256")
    let failure = ""
    try {
      for await (const chunk of decryptAge(pieces(file), identities)) hash.update(chunk)
    } catch (error) {
      failure = error instanceof Error ? error.message : "not an error"
    }
    expect(failure).toMatch(failures[expected] ?? /^$/)
    if (payload) expect(hash.digest("hex")).toBe(payload)
  })
})
