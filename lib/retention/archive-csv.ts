const quote = 0x22
const newline = 0x0a

/** Counts the records of a CSV file as they pass; line breaks inside of quotes end none. */
export type RecordCounter = { readonly records: number; add(chunk: Uint8Array): void }

/** For files as COPY writes them: a quote inside of quotes is doubled, a record ends with a line feed. */
export function recordCounter(): RecordCounter {
  let records = 0
  let isQuoted = false
  return {
    get records() {
      return records
    },
    add(chunk) {
      for (const byte of chunk) {
        if (byte === quote) isQuoted = !isQuoted
        else if (byte === newline && !isQuoted) records++
      }
    },
  }
}

/** Passes a CSV file on without some of its records, which are counted from 0: the header is the first. */
export async function* withoutRecords(
  chunks: AsyncIterable<Uint8Array>,
  left: ReadonlySet<number>,
): AsyncGenerator<Uint8Array> {
  let record = 0
  let isQuoted = false
  for await (const chunk of chunks) {
    let start = 0
    for (let at = 0; at < chunk.length; at++) {
      const byte = chunk[at]
      if (byte === quote) isQuoted = !isQuoted
      if (byte !== newline || isQuoted) continue
      if (left.has(record)) {
        start = at + 1
      } else if (left.has(record + 1)) {
        yield chunk.subarray(start, at + 1)
        start = at + 1
      }
      record++
    }
    if (start < chunk.length && !left.has(record)) yield chunk.subarray(start)
  }
}
