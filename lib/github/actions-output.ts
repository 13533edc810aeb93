import { error, notice, setSecret, summary, warning } from "@actions/core"

/** What a step tells the page of its workflow run. */
export type ActionsOutput = {
  /** Hides a value in all that the step writes from now on. Outside of Actions it would print the value. */
  mask(secret: string): void
  /** Puts one note on the run's page. */
  annotate(kind: "error" | "warning" | "notice", title: string, text: string): void
  /** Adds Markdown to the step's summary. Rejects when the runner gave no file for it. */
  appendSummary(markdown: string): Promise<void>
}

const commands = { error, warning, notice }

/** GitHub's own. Commands go to the process's stdout, the summary to the file that the runner names. Only inside Actions. */
export const actionsOutput: ActionsOutput = {
  mask: setSecret,
  annotate: (kind, title, text) => commands[kind](text, { title }),
  async appendSummary(markdown) {
    await summary.emptyBuffer().addRaw(markdown).write()
  },
}
