import { Decrypter, Encrypter } from "age-encryption"

const fileKeyBytes = 16
const emptyPayloadBytes = 32
const maxHeaderBytes = 256 * 1024
const versionLine = "age-encryption.org/v1\n"
const armorLine = "-----BEGIN AGE ENCRYPTED FILE-----"

/** The header of a new age file that each of the recipients can open, and the key of its payload. */
export async function writeHeader(recipients: readonly string[]): Promise<{ header: Uint8Array; fileKey: Uint8Array }> {
  if (recipients.length === 0) throw new Error("no recipients: nobody could open what is sealed")
  const learned: Uint8Array[] = []
  const encrypter = new Encrypter()
  for (const recipient of recipients) encrypter.addRecipient(recipient)
  encrypter.addRecipient({
    wrapFileKey(fileKey) {
      learned.push(Uint8Array.from(fileKey))
      return []
    },
  })
  const file = await encrypter.encrypt(new Uint8Array())
  const header = file.subarray(0, -emptyPayloadBytes)
  const [fileKey] = learned
  if (fileKey?.length !== fileKeyBytes || stanzaKinds(header).length !== recipients.length || header.at(-1) !== 0x0a) {
    throw new Error("age-encryption wrote a header of an unknown shape: nothing was sealed")
  }
  return { header, fileKey }
}

/**
 * Reads `chunks` up to the end of the header. `rest` is what came behind it. Throws when this is no age file;
 * never holds more than 256 KiB and one chunk.
 */
export async function readHeader(chunks: AsyncIterator<Uint8Array>): Promise<{ header: Uint8Array; rest: Uint8Array }> {
  let head = Buffer.alloc(0)
  for (;;) {
    const next = await chunks.next()
    if (!next.done) head = Buffer.concat([head, next.value])
    refuseForeign(head, next.done === true)
    const end = headerEnd(head)
    if (end !== undefined) return { header: head.subarray(0, end), rest: head.subarray(end) }
    if (next.done) throw new Error("the age header is cut off: the file ends inside it")
    if (head.length > maxHeaderBytes)
      throw new Error(`the age header is malformed: no end within ${maxHeaderBytes} bytes`)
  }
}

/** The payload's key. Throws when no identity matches, and when the header is malformed or was changed. */
export async function openHeader(header: Uint8Array, identities: readonly string[]): Promise<Uint8Array> {
  const decrypter = new Decrypter()
  for (const identity of identities) decrypter.addIdentity(identity)
  try {
    const fileKey = await decrypter.decryptHeader(header)
    if (fileKey.length !== fileKeyBytes) throw new Error(`file key of ${fileKey.length} bytes`)
    return fileKey
  } catch (error) {
    throw headerFailure(error, header, identities.length)
  }
}

function headerFailure(error: unknown, header: Uint8Array, identityCount: number): Error {
  const message = error instanceof Error ? error.message : String(error)
  if (message.startsWith("no identity matched")) {
    const kinds = [...new Set(stanzaKinds(header))].join(", ") || "no one"
    const held =
      identityCount === 1 ? "the private key at hand is not" : `none of the ${identityCount} private keys at hand is`
    return new Error(`wrong key: ${held} one that this file was sealed for (${kinds})`)
  }
  if (message === "invalid header HMAC") return new Error("the age header was changed: its MAC does not match")
  return new Error("the age header is malformed", { cause: error })
}

function refuseForeign(head: Buffer, isAll: boolean): void {
  const start = head.toString("latin1", 0, Math.max(versionLine.length, armorLine.length))
  if (start.startsWith(armorLine)) throw new Error("this is an armored age file: only the binary format is read here")
  const seen = start.slice(0, versionLine.length)
  if (seen !== versionLine.slice(0, seen.length) || (isAll && seen.length < versionLine.length)) {
    throw new Error(head.length === 0 ? "this is not an age file: it is empty" : "this is not an age file")
  }
}

/** The header ends with the first line that begins with `---`: no line of a stanza can. */
function headerEnd(head: Buffer): number | undefined {
  const macLine = head.indexOf("\n---")
  const end = macLine < 0 ? -1 : head.indexOf("\n", macLine + 1)
  return end < 0 ? undefined : end + 1
}

/** What the file key is wrapped for, such as `X25519` or `mlkem768x25519`, one per stanza. */
function stanzaKinds(header: Uint8Array): string[] {
  return Array.from(
    Buffer.from(header)
      .toString("latin1")
      .matchAll(/^-> (\S+)/gm),
    (match) => match[1] ?? "",
  )
}
