const remedies: Record<string, string> = {
  ENOSPC: "no space is left on its disk: free some, or point the store elsewhere",
  EDQUOT: "the disk quota is used up: raise it, or point the store elsewhere",
  EACCES: "permission is denied: let the user of this program own the directory",
  EPERM: "permission is denied: let the user of this program own the directory",
  EROFS: "its file system is read-only: mount it writable, or point the store elsewhere",
  ENOTDIR: "a part of the path is a file: choose another key or directory",
  EISDIR: "there is a folder of that name: choose another key",
  EFBIG: "the file is larger than its file system or limit allows: point the store elsewhere",
}

/** Says what a failure of the file system means for whoever must act; the original error is the cause. */
export function directoryFailure(error: unknown, doing: string, store: string): Error {
  const remedy = remedies[codeOf(error) ?? ""]
  return new Error(`cannot ${doing} in ${store}${remedy ? `: ${remedy}` : ""}`, { cause: error })
}

/** True for an error of the file system with one of `codes`. */
export function hasCode(error: unknown, ...codes: string[]): boolean {
  return codes.includes(codeOf(error) ?? "")
}

/** True when a path leads to nothing. */
export function isMissing(error: unknown): boolean {
  return hasCode(error, "ENOENT", "ENOTDIR")
}

function codeOf(error: unknown): string | undefined {
  return error instanceof Error && "code" in error ? String(error.code) : undefined
}
