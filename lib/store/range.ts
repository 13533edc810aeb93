import type { ByteRange } from "./store.ts"

/** The part of an object of `sizeBytes` that `range` means; the whole of it when there is none. Throws for a range that holds nothing. */
export function checkedRange(range: ByteRange | undefined, sizeBytes: number): ByteRange {
  if (!range) return { start: 0, end: sizeBytes }
  checkRange(range)
  if (range.start >= sizeBytes)
    throw new Error(`the range starts at byte ${range.start} of an object of ${sizeBytes} bytes`)
  return { start: range.start, end: Math.min(range.end, sizeBytes) }
}

/** Throws unless `range` is made of whole numbers and holds at least one byte. */
export function checkRange({ start, end }: ByteRange): void {
  if (!Number.isSafeInteger(start) || !Number.isSafeInteger(end) || start < 0 || end <= start) {
    throw new RangeError(`${start} to ${end} is no range of bytes: start is the first byte, end the one after the last`)
  }
}
