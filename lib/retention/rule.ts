import type { CleanupAction, CleanupConfig } from "../config/cleanup-schema.ts"

/** Actions after which rows are not in the table any more, or not as they were. */
const destructive: readonly CleanupAction[] = ["delete", "archive", "drop", "detach", "anonymise", "set"]
const removing: readonly CleanupAction[] = ["delete", "archive"]

/** What a rule does: what it says, or `delete` for old rows and `report` for all others. */
export function actionOf({ action, olderThan }: CleanupConfig): CleanupAction {
  return action ?? (olderThan ? "delete" : "report")
}

/** Whether a rule changes anything. */
export function isDestructive(config: CleanupConfig): boolean {
  return destructive.includes(actionOf(config))
}

/** Whether rows are deleted one by one, with all that foreign keys do then. */
export function isRemoving(action: CleanupAction): boolean {
  return removing.includes(action)
}

/** Whether whole partitions are taken off. */
export function isOfPartitions(action: CleanupAction): boolean {
  return action === "drop" || action === "detach"
}

/** Whether columns of rows that stay are written. */
export function isWriting(action: CleanupAction): boolean {
  return action === "anonymise" || action === "set"
}

/** The rule in front of a problem: `databases.main.cleanup[2] ("old logs")`. */
export function rulePath(database: string, index: number, { name }: CleanupConfig): string {
  return `databases.${database}.cleanup[${index}] (${JSON.stringify(name)})`
}
