const remedies: Record<string, string> = {
  EACCES: "permission denied: make it writable for this user, or set LEDGER to another directory",
  EPERM: "permission denied: make it writable for this user, or set LEDGER to another directory",
  EROFS: "the file system is read-only: set LEDGER to another directory",
  ENOSPC: "the disk is full: free space",
  EDQUOT: "the disk quota is used up: free space",
  ENOTDIR: "a part of its path is a file: set LEDGER to a directory",
  EEXIST: "a part of its path is a file: set LEDGER to a directory",
  EISDIR: "it is a directory: remove it",
}

/** What an error of the file system means for a ledger, with what to do about it. */
export function remedyFor(error: unknown): string {
  return remedies[codeOf(error)] ?? (error instanceof Error ? error.message : String(error))
}

export function isMissing(error: unknown): boolean {
  return codeOf(error) === "ENOENT"
}

function codeOf(error: unknown): string {
  return error instanceof Error && "code" in error ? String(error.code) : ""
}
