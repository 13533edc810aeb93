import { errorText } from "../core/error-text.ts"
import { ProgramFailed } from "../system/program-failed.ts"

/** What kept git from its work: someone else was faster, the network may do better next time, or a person must act. */
export type GitTrouble = { kind: "race" | "transient" | "no branch" | "refused force" | "permanent"; words: string }

const known: [pattern: RegExp, kind: GitTrouble["kind"], words: string][] = [
  [/cannot force-push|denying non-fast-forward/i, "refused force", "the branch takes no forced push"],
  [/couldn't find remote ref/, "no branch", "the branch is not there"],
  [/stale info|\(fetch first\)|non-fast-forward/, "race", "someone else wrote to the branch"],
  [/cannot lock ref|failed to update ref|reference already exists/, "race", "someone else wrote to the branch"],
  [
    /GH006|GH013|protected branch|rule violations|hook declined/i,
    "permanent",
    "the branch is protected: let this workflow's token push to it, or set LEDGER to a branch without rules",
  ],
  [
    /returned error: 403|Permission to .* denied|Write access .* not granted/i,
    "permanent",
    "the token may not do this: give the workflow `permissions: contents: write`",
  ],
  [
    /returned error: 401|Authentication failed|could not read (?:Username|Password)|terminal prompts disabled/i,
    "permanent",
    "no token or a wrong one was given: give GITHUB_TOKEN to this step",
  ],
  [
    /returned error: 404|Repository not found|repository '.*' not found|does not appear to be a git repository|not a git repository/i,
    "permanent",
    "there is no such repository, or the token may not see it: correct LEDGER",
  ],
  [/returned error: 30[1278]|redirect/i, "permanent", "the repository has moved: set LEDGER to its new address"],
  [/SSL certificate|certificate verif/i, "permanent", "the certificate of its host is not trusted: correct the host"],
  [/No space left on device/i, "permanent", "the disk is full: free space"],
  [
    /Could not resolve host|Failed to connect|Connection refused|Couldn't connect|timed out|Connection reset/i,
    "transient",
    "its host cannot be reached",
  ],
  [/returned error: (?:429|5\d\d)/, "transient", "its host answers with an error of its own"],
  [
    /RPC failed|early EOF|hung up|Empty reply|unexpected disconnect|index-pack failed|Operation too slow/i,
    "transient",
    "the connection broke",
  ],
  [/did not end within/, "transient", "it took too long"],
]

/** What a failure of git means, in words with a remedy. Git's own words follow where they are not understood. */
export function readGitError(error: unknown): GitTrouble {
  if (!(error instanceof ProgramFailed)) return { kind: "permanent", words: errorText(error) }
  const text = `${error.message}\n${error.stderr}`
  const [, kind, words] = known.find(([pattern]) => pattern.test(text)) ?? []
  return kind && words ? { kind, words } : { kind: "permanent", words: error.message }
}
