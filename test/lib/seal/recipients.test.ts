import { createHash } from "node:crypto"
import { generateHybridIdentity, generateX25519Identity, identityToRecipient } from "age-encryption"
import { beforeAll, describe, expect, it } from "vitest"
import { ConfigError } from "../../../lib/core/config-error.ts"
import { identityFingerprints, parseIdentities, parseRecipients } from "../../../lib/seal/recipients.ts"

const privateKeys: string[] = []
const publicKeys: string[] = []
let hybridPrivate = ""
let hybridPublic = ""

beforeAll(async () => {
  for (let i = 0; i < 2; i++) {
    const identity = await generateX25519Identity()
    privateKeys.push(identity)
    publicKeys.push(await identityToRecipient(identity))
  }
  hybridPrivate = await generateHybridIdentity()
  hybridPublic = await identityToRecipient(hybridPrivate)
})

function problemsOf(parse: (text: string, name: string) => unknown, text: string): string[] {
  try {
    parse(text, "KEYS")
  } catch (error) {
    if (error instanceof ConfigError) return [...error.problems]
    throw error
  }
  return []
}

const cut = (key: string) => key.slice(0, -1)
const fingerprint = (key: string) => createHash("sha256").update(key).digest("hex").slice(0, 16)

describe("public keys", () => {
  it("are refused when there is none: nobody could open what is sealed", () => {
    for (const text of ["", "\n\r\n , ", "# age1comment"]) {
      expect(problemsOf(parseRecipients, text)).toEqual([expect.stringContaining("KEYS holds no public key")])
    }
  })

  it("are not mixed up with private ones, which no message repeats", () => {
    const [key = ""] = privateKeys
    for (const secret of [key, key.toLowerCase(), cut(key), hybridPrivate]) {
      const [problem = "", ...others] = problemsOf(parseRecipients, `${publicKeys[0]}\n\n${secret}`)
      expect(others).toEqual([])
      expect(problem).toMatch(/^line 3 of KEYS is a PRIVATE key/)
      expect(problem).not.toContain(secret.slice(-40, -20))
    }
  })

  it("that are wrong are all named by line, and not repeated", () => {
    const bad = [
      cut(publicKeys[0] ?? ""),
      "age1yubikey1qwt50d05nh5vutpdzmlg5wn80xq5negm4uj9ghv0snvdd3yysf5yw3rhl3t",
      "hello",
    ]
    const problems = problemsOf(parseRecipients, [publicKeys[0], ...bad, "ssh-ed25519 AAAA x"].join("\n"))
    expect(problems.slice(0, 4)).toEqual([
      expect.stringMatching(/^line 2 of KEYS is not a public age key/),
      expect.stringMatching(/^line 3 of KEYS is a key of a plugin or a hardware token/),
      expect.stringMatching(/^line 4 of KEYS is not a public age key/),
      expect.stringMatching(/^line 5 of KEYS is an SSH key/),
    ])
    expect(problems.join()).not.toContain(bad[0])
  })

  it("of both kinds together are refused", () => {
    expect(problemsOf(parseRecipients, `${publicKeys[0]},${hybridPublic}`)).toEqual([
      expect.stringContaining("KEYS mixes post-quantum keys"),
    ])
  })

  it("come with comments, blanks, commas and Windows line ends, and count once", () => {
    const [first = "", second = ""] = publicKeys
    const text = `\uFEFF# both of us\r\n\r\n  ${first} # laptop\r\n,${second}, ${first}\r\n`
    expect(parseRecipients(text, "KEYS")).toEqual({
      keys: [first, second],
      kind: "x25519",
      fingerprints: [fingerprint(first), fingerprint(second)],
      warnings: [],
    })
  })

  it("warn when only one could open the backup", () => {
    const { kind, warnings } = parseRecipients(`${hybridPublic}\n${hybridPublic}`, "KEYS")
    expect(kind).toBe("post-quantum")
    expect(warnings).toEqual([expect.stringContaining("KEYS holds one public key")])
  })
})

describe("private keys", () => {
  it("that are none are named by line, and never repeated", () => {
    const bad = [cut(privateKeys[0] ?? ""), publicKeys[0] ?? "", "AGE-PLUGIN-YUBIKEY-1QQ", "secret-of-mine"]
    const problems = problemsOf(parseIdentities, bad.join("\n"))
    expect(problems).toEqual([
      expect.stringMatching(/^line 1 of KEYS is not a private age key/),
      expect.stringMatching(/^line 2 of KEYS is a public key/),
      expect.stringMatching(/^line 3 of KEYS is a key of a plugin/),
      expect.stringMatching(/^line 4 of KEYS is not a private age key/),
    ])
    for (const text of bad) expect(problems.join()).not.toContain(text.slice(-20))
    expect(problemsOf(parseIdentities, "# nothing")).toEqual([expect.stringContaining("KEYS holds no private key")])
  })

  it("are read from what age-keygen writes, and of both kinds", async () => {
    const text = `# created: 2026-11-20\n# public key: ${publicKeys[0]}\n${privateKeys[0]}\n${hybridPrivate}\n${privateKeys[0]}`
    const identities = parseIdentities(text, "KEYS")
    expect(identities.keys).toEqual([privateKeys[0], hybridPrivate])
    expect(await identityFingerprints(identities)).toEqual([
      fingerprint(publicKeys[0] ?? ""),
      fingerprint(hybridPublic),
    ])
  })
})
