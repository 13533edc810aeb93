import { createReadStream } from "node:fs"
import { readFile } from "node:fs/promises"
import { buffer } from "node:stream/consumers"
import { createGunzip, gunzipSync } from "node:zlib"
import { isMissing } from "./disk-error.ts"

/** The ending of a file that is closed: the same lines, compressed. */
export const zipped = ".gz"

/**
 * The lines of a stream's file, many at a time: those of its compressed part, then those that were added since. When a roll-up was cut off between
 * writing the compressed file and removing the plain one, the second is the end of the first and its lines come once. Rejects with
 * ENOENT when there is neither; `onDamage` is called when the compressed part cannot be read to its end.
 */
export async function* linesOf(path: string, onDamage: (error: unknown) => void): AsyncGenerator<string[]> {
  const closed = createReadStream(path + zipped)
  const hasClosed = await opened(closed)
  if (!hasClosed) return yield* splitLines(createReadStream(path, { encoding: "utf8", highWaterMark: 1 << 20 }))
  const added = await readFile(path).catch((error: unknown) => {
    if (isMissing(error)) return undefined
    throw error
  })
  const tail = createTail(added?.length ?? 0)
  try {
    const unzipped = closed.pipe(createGunzip({ chunkSize: 1 << 18 }))
    closed.once("error", (error) => unzipped.destroy(error))
    yield* splitLines(decoded(unzipped, tail.see))
  } catch (error) {
    onDamage(error)
  } finally {
    closed.destroy()
  }
  if (added && !tail.equals(added)) yield added.toString("utf8").split("\n")
}

/** All bytes that a compressed file stands for; throws when it is damaged. */
export async function unzip(path: string): Promise<Buffer> {
  return gunzipSync(await buffer(createReadStream(path)))
}

async function opened(stream: ReturnType<typeof createReadStream>): Promise<boolean> {
  return new Promise((resolve, reject) => {
    stream.once("open", () => resolve(true))
    stream.once("error", (error) => (isMissing(error) ? resolve(false) : reject(error)))
  })
}

async function* decoded(source: AsyncIterable<Buffer>, see: (chunk: Buffer) => void): AsyncGenerator<string> {
  const decoder = new TextDecoder()
  for await (const chunk of source) {
    see(chunk)
    yield decoder.decode(chunk, { stream: true })
  }
  yield decoder.decode()
}

/**
 * The lines of each chunk. They end at a newline and nowhere else: JSON text may hold U+2028, which other readers take for one. A line
 * at a time would be a wait at a time.
 */
export async function* splitLines(source: AsyncIterable<string | Buffer>): AsyncGenerator<string[]> {
  let rest: string[] = []
  for await (const chunk of source) {
    const lines = String(chunk).split("\n")
    const last = lines.pop() ?? ""
    if (lines.length > 0) {
      lines[0] = rest.join("") + lines[0]
      rest = []
      yield lines
    }
    rest.push(last)
  }
  yield [rest.join("")]
}

/** Remembers the last `size` bytes of what it sees. */
function createTail(size: number) {
  let tail = Buffer.alloc(0)
  return {
    see(chunk: Buffer) {
      if (size === 0) return
      const joined = chunk.length >= size ? chunk : Buffer.concat([tail, chunk])
      tail = Buffer.from(joined.subarray(Math.max(0, joined.length - size)))
    },
    equals: (bytes: Buffer) => tail.equals(bytes),
  }
}
