import { createHash } from "node:crypto"

/** Counts what passes, and hashes it where `sha256` is wanted. */
export type Tally = {
  readonly bytes: number
  add(chunk: Uint8Array): void
  /** Nothing is added any more. */
  end(): void
}

/** `sha256` is in hexadecimal digits; reading it before `end` throws. */
export type HashedTally = Tally & { readonly sha256: string }

export function tally(): Tally {
  let bytes = 0
  return {
    get bytes() {
      return bytes
    },
    add(chunk) {
      bytes += chunk.length
    },
    end() {},
  }
}

export function hashedTally(): HashedTally {
  const hash = createHash("sha256")
  let bytes = 0
  let digest: string | undefined
  return {
    get bytes() {
      return bytes
    },
    add(chunk) {
      bytes += chunk.length
      hash.update(chunk)
    },
    end() {
      digest = hash.digest("hex")
    },
    get sha256() {
      if (digest === undefined) throw new Error("the hash of a stream is known only when it has ended")
      return digest
    },
  }
}

/** Passes `chunks` on and adds them to `tally`; ends it when they have ended well. */
export async function* tallied(chunks: AsyncIterable<Uint8Array>, tally: Tally): AsyncGenerator<Uint8Array> {
  for await (const chunk of chunks) {
    tally.add(chunk)
    yield chunk
  }
  tally.end()
}
