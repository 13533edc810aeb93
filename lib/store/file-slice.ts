import { open } from "node:fs/promises"
import { Readable } from "node:stream"
import { checkedRange } from "./range.ts"
import type { ByteRange } from "./store.ts"

const chunkBytes = 1024 * 1024

/** A stream over a file, or a range of it. It fails when the file turns out shorter than it was when it was opened. */
export async function fileSlice(path: string, range: ByteRange | undefined): Promise<Readable> {
  const file = await open(path, "r")
  try {
    const found = await file.stat()
    if (!found.isFile()) throw Object.assign(new Error(`${path} is no file`), { code: "ENOENT" })
    const { start, end } = checkedRange(range, found.size)
    let at = start
    return new Readable({
      highWaterMark: chunkBytes,
      read() {
        const wanted = Math.min(chunkBytes, end - at)
        if (wanted === 0) return void this.push(null)
        file.read(Buffer.allocUnsafe(wanted), 0, wanted, at).then(
          ({ bytesRead, buffer }) => {
            at += bytesRead
            if (bytesRead > 0) this.push(buffer.subarray(0, bytesRead))
            else this.destroy(new Error(`${path} ended after ${at} of ${end} bytes`))
          },
          (error) => this.destroy(error),
        )
      },
      destroy(error, done) {
        file.close().then(() => done(error), done)
      },
    })
  } catch (error) {
    await file.close()
    throw error
  }
}
