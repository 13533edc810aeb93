const segment = /^[A-Za-z0-9_][A-Za-z0-9_.-]{0,199}$/

/** Throws unless `stream` is a file name below a ledger, such as `runs/2026/11/20.jsonl`. */
export function checkStream(stream: string): void {
  if (stream.endsWith(".jsonl") && stream.split("/").every((part) => segment.test(part))) return
  throw new Error(
    `${JSON.stringify(stream)} is no stream of a ledger: use letters, digits, - _ . and / and end with .jsonl`,
  )
}

/** Throws unless `folder` is a folder below a ledger, such as `runs/2026`, or empty for all of it. */
export function checkFolder(folder: string): void {
  if (folder === "" || folder.split("/").every((part) => segment.test(part))) return
  throw new Error(`${JSON.stringify(folder)} is no folder of a ledger: use letters, digits, - _ . and /`)
}
