import { readFile } from "node:fs/promises"
import { errorText } from "../core/error-text.ts"
import { identityFingerprints } from "../seal/recipients.ts"
import { type Identities, unsealBytes } from "../seal/seal.ts"
import { type Proof, parseProof } from "./proof.ts"
import { failed, type Level } from "./receipt.ts"
import { listArchive } from "./restore.ts"
import { type BackupSet, objectNames } from "./set.ts"

const smallObjectLimitBytes = 1024 * 1024 * 1024

type OpenOrder = { set: BackupSet; identities: Identities; signal: AbortSignal }

/** A downloaded set of which everything but the dump's body is decrypted. */
export type OpenedSet = {
  proof: Proof
  rolesSql: string | undefined
  dump: { file: string; plainBytes: number }
  entries: Awaited<ReturnType<typeof listArchive>>
}

/** Decrypts everything but the dump's body, and reads the dump's table of contents. */
export async function openSet(
  order: OpenOrder,
  files: Map<string, string>,
  pgRestore: string,
): Promise<OpenedSet | { failure: Level }> {
  const { objects } = order.set.manifest
  const file = (name: string) => {
    const path = files.get(name)
    if (path === undefined) throw new Error(`${name} was not downloaded`)
    return path
  }
  const open = async (name: string) =>
    unsealBytes(await readFile(file(name)), order.identities, { maxBytes: smallObjectLimitBytes })
  try {
    const proof = parseProof(await open(objectNames.proof))
    const rolesSql = objects.roles ? new TextDecoder().decode(await open(objectNames.roles)) : undefined
    const dump = { file: file(objectNames.dump), plainBytes: objects.dump.plainBytes }
    return { proof, rolesSql, dump, entries: await listArchive(pgRestore, dump, order.identities, order.signal) }
  } catch (error) {
    order.signal.throwIfAborted()
    return { failure: failed("the set cannot be opened", [`${errorText(error)}${await keyMismatch(order)}`]) }
  }
}

/** Whose keys would open the set, when the one at hand is none of them. */
async function keyMismatch({ set, identities }: OpenOrder): Promise<string> {
  const { recipients } = set.manifest
  const own = await identityFingerprints(identities)
  if (own.some((fingerprint) => recipients.includes(fingerprint))) return ""
  const keys = recipients.length === 1 ? "the public key" : "the public keys"
  return `; the set was sealed for ${keys} ${recipients.join(", ")}, and BACKUP_IDENTITY belongs to ${own.join(", ")}`
}
