import { appendFile } from "node:fs/promises"
import type { ActionsOutput } from "../../lib/github/actions-output.ts"

export type RecordedActions = ActionsOutput & {
  masks: string[]
  annotations: { kind: string; title: string; text: string }[]
}

/** What a run puts on its page, kept: masks and annotations in lists, the summary in a file that must be writable. */
export function recordActions(summaryFile: string): RecordedActions {
  const masks: string[] = []
  const annotations: RecordedActions["annotations"] = []
  return {
    masks,
    annotations,
    mask: (secret) => void masks.push(secret),
    annotate: (kind, title, text) => void annotations.push({ kind, title, text }),
    appendSummary: (markdown) => appendFile(summaryFile, markdown),
  }
}
