import { z } from "zod"
import type { Store } from "../store/store.ts"
import { type Receipt, receiptSchema } from "./receipt.ts"
import { listSetFolders, oldest, readSmallObject, type SetFolder, setId, setKey } from "./set.ts"

const receiptLimitBytes = 4 * 1024 * 1024

/** Stores a receipt beside its set. A second test in the same second gets a name of its own. */
export async function putReceipt(store: Store, receipt: Receipt, signal: AbortSignal): Promise<string> {
  const time = setId(new Date(receipt.testedAt))
  let key = setKey(receipt.database, receipt.set, `receipt-${time}.json`)
  for (let copy = 2; await store.head(key); copy++)
    key = setKey(receipt.database, receipt.set, `receipt-${time}-${copy}.json`)
  const bytes = new TextEncoder().encode(`${JSON.stringify(receipt, null, 2)}\n`)
  await store.put(key, bytes, { contentType: "application/json", expectedBytes: bytes.length, signal })
  return key
}

/** Key of the newest receipt of a set; `undefined` when it was never tested. */
export function newestReceiptKey(folder: SetFolder): string | undefined {
  const receipts = folder.objects.flatMap(({ key }) => {
    const [, time, copy = "1"] = /\/receipt-([^/]+Z)(?:-(\d+))?\.json$/.exec(key) ?? []
    return time === undefined ? [] : [{ key, time, copy: Number(copy) }]
  })
  receipts.sort((a, b) => (a.time === b.time ? a.copy - b.copy : a.time < b.time ? -1 : 1))
  return receipts.at(-1)?.key
}

/** Reads a receipt; throws an error that names it when it is none. */
export async function readReceipt(store: Store, key: string, signal?: AbortSignal): Promise<Receipt> {
  const bytes = await readSmallObject(store, key, receiptLimitBytes, signal)
  const parsed = receiptSchema.safeParse(JSON.parse(new TextDecoder().decode(bytes)))
  if (parsed.success) return parsed.data
  throw new Error(`${key} is no receipt: ${z.prettifyError(parsed.error)}`)
}

/** When the databases were last seen to restore: the oldest of their newest passed tests; `undefined` when one has none. */
export async function newestReceiptTime(
  store: Store,
  databases: readonly { database: string }[],
): Promise<Date | undefined> {
  return oldest(await Promise.all(databases.map(({ database }) => lastPassed(store, database))))
}

async function lastPassed(store: Store, database: string): Promise<Date | undefined> {
  const folders = await listSetFolders(store, database)
  for (const folder of folders.reverse()) {
    const key = newestReceiptKey(folder)
    if (!key) continue
    const receipt = await readReceipt(store, key)
    if (receipt.verdict !== "failed") return new Date(receipt.testedAt)
  }
  return undefined
}
