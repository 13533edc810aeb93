import { createHash } from "node:crypto"
import { Decrypter, Encrypter, identityToRecipient } from "age-encryption"
import { ConfigError } from "../core/config-error.ts"

export type KeyKind = "x25519" | "post-quantum"

/** Public keys that something is sealed for. `warnings` are for the person who set them. */
export type Recipients = { keys: string[]; kind: KeyKind; fingerprints: string[]; warnings: string[] }

/** Private keys, of one kind or both. */
export type Identities = { keys: string[] }

type Line = { number: number; words: string[] }

/**
 * Reads public age keys, one per line or separated by commas or blanks; `#` begins a comment. `name` is where the text is from.
 * Throws a `ConfigError` with every problem, by line, that never repeats what may be a secret. All keys are of one kind:
 * a file is only as safe against a quantum computer as its weakest recipient.
 */
export function parseRecipients(text: string, name: string): Recipients {
  const lines = readLines(text)
  const problems = lines.flatMap((line) => recipientProblems(line, name))
  const keys = distinctWords(lines)
  const kinds = new Set(keys.map(recipientKind))
  if (keys.length === 0)
    problems.push(`${name} holds no public key: nobody could open the backup; add lines that begin with age1`)
  if (problems.length === 0 && kinds.size > 1) {
    problems.push(`${name} mixes post-quantum keys (age1pq1…) with others (age1…): use keys of one kind`)
  }
  if (problems.length > 0) throw new ConfigError(problems)
  const [kind = "x25519"] = kinds
  return { keys, kind, fingerprints: keys.map(fingerprint), warnings: fewKeys(keys, name) }
}

/** Reads private age keys in the same way. Throws a `ConfigError` that never repeats one. */
export function parseIdentities(text: string, name: string): Identities {
  const lines = readLines(text)
  const problems = lines.flatMap((line) => identityProblems(line, name))
  const keys = distinctWords(lines)
  if (keys.length === 0) problems.push(`${name} holds no private key: add a line that begins with AGE-SECRET-KEY-`)
  if (problems.length > 0) throw new ConfigError(problems)
  return { keys }
}

/** Fingerprints of the public keys that belong to private ones: to be compared with those of a backup's recipients. */
export async function identityFingerprints({ keys }: Identities): Promise<string[]> {
  const recipients = await Promise.all(keys.map((key) => identityToRecipient(key)))
  return recipients.map(fingerprint)
}

function readLines(text: string): Line[] {
  return text.split(/\r\n|\r|\n/).map((line, index) => ({
    number: index + 1,
    words: line
      .replace(/^\uFEFF/, "")
      .replace(/#.*/, "")
      .split(/[\s,]+/)
      .filter((word) => word !== ""),
  }))
}

function distinctWords(lines: readonly Line[]): string[] {
  return [...new Set(lines.flatMap((line) => line.words))]
}

function recipientProblems({ number, words }: Line, name: string): string[] {
  return words.flatMap((word) => {
    const problem = recipientProblem(word)
    return problem ? [`line ${number} of ${name} ${problem}`] : []
  })
}

function recipientProblem(word: string): string | undefined {
  if (looksPrivate(word)) {
    return "is a PRIVATE key: treat it as leaked (make a new pair with age-keygen), and put the public key here, which begins with age1"
  }
  if (/^age1(tag|tagpq|[a-z0-9]{1,20})1[^1]*$/i.test(word) && !/^age1pq1/i.test(word)) {
    return "is a key of a plugin or a hardware token, which no restore test could use: give a key made by age-keygen"
  }
  if (/^(ssh-|ecdsa-|sk-)/.test(word)) return "is an SSH key: give a key made by age-keygen"
  if (!isAccepted(() => new Encrypter().addRecipient(word))) {
    return "is not a public age key: it begins with age1 and must be copied whole, in lower case"
  }
  return undefined
}

function identityProblems({ number, words }: Line, name: string): string[] {
  return words.flatMap((word) => {
    const problem = identityProblem(word)
    return problem ? [`line ${number} of ${name} ${problem}`] : []
  })
}

function identityProblem(word: string): string | undefined {
  if (/^age1/i.test(word)) return "is a public key: the private one is needed here, it begins with AGE-SECRET-KEY-"
  if (/^AGE-PLUGIN-/i.test(word)) return "is a key of a plugin, which cannot be used here: give one made by age-keygen"
  if (!isAccepted(() => new Decrypter().addIdentity(word))) {
    return "is not a private age key: it begins with AGE-SECRET-KEY- and must be copied whole, in capitals"
  }
  return undefined
}

function looksPrivate(word: string): boolean {
  return /AGE-(SECRET|PLUGIN)|PRIVATE/i.test(word)
}

/** What the library says about a bad key repeats the key: only whether it was refused is kept. */
function isAccepted(add: () => void): boolean {
  try {
    add()
    return true
  } catch {
    return false
  }
}

function recipientKind(key: string): KeyKind {
  return key.startsWith("age1pq1") ? "post-quantum" : "x25519"
}

function fingerprint(key: string): string {
  return createHash("sha256").update(key).digest("hex").slice(0, 16)
}

function fewKeys(keys: readonly string[], name: string): string[] {
  return keys.length > 1
    ? []
    : [
        `${name} holds one public key: should its private key be lost, no backup can be opened; add a second that is kept elsewhere`,
      ]
}
