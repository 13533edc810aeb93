import { renderTableName, type TableName } from "../postgres/name.ts"

/** What the weekly maintenance does, in this order. Leftovers of an index that was being rebuilt belong to `reindex`. */
export const actionKinds = ["leftovers", "validate", "reindex", "vacuum", "analyze"] as const
export type ActionKind = (typeof actionKinds)[number]

type Planned = {
  /** The table that it works on. */
  table: TableName & { oid: string }
  /** What it is about, such as `public.events` or `public.events_kind_idx`. */
  target: string
  /** Exactly what is run. */
  statement: string
  /** Why, with numbers, for people. */
  reason: string
  /** Of two actions of a kind the one with the greater need comes first. */
  need: number
}

/** Queries that find rows which break a constraint: how many there are, at most one more than are counted, and which. */
export type Violations = { count: string; show: string }

export type IndexRef = TableName & { oid: string }

/** One statement that is to be run, and what verifies it afterwards. */
export type MaintenanceAction = Planned &
  (
    | { action: "leftovers"; index: IndexRef; base: string }
    | { action: "validate"; constraint: { oid: string; name: string }; violations: Violations }
    | { action: "reindex"; index: IndexRef; sizeBytes: number; expectedBytes: number; wasValid: boolean }
    | { action: "vacuum"; freezes: boolean }
    | { action: "analyze" }
  )

/** Something that is due and not done: the role may not, or something stands in the way. */
export type NotDone = {
  action: ActionKind
  target: string
  /** What is missing, with the remedy. */
  reason: string
  /** The role lacks a right: all of these are told together. */
  isRight: boolean
}

export type MaintenancePlan = {
  actions: MaintenanceAction[]
  notDone: NotDone[]
  /** What could not be known, for people. */
  notes: string[]
}

/**
 * How an action ended. `done`: verified afterwards. `refused`: the role may not. `blocked`: a lock, an old snapshot, no room or no time; it
 * is tried again next week. `violated`: rows stand against it. `gone`: what it was about exists no more. `failed`: anything else.
 */
export type ActionEnd = "done" | "refused" | "blocked" | "violated" | "gone" | "failed"

export type ActionResult = {
  end: ActionEnd
  /** What was done, with numbers, or what stood in the way and what to do. Never a value of the team's rows. */
  detail: string
  beforeBytes?: number
  afterBytes?: number
}

export type ActionOutcome = ActionResult & { action: MaintenanceAction; durationMs: number }

/** An index as people read it: in the schema of its table. */
export function renderIndex({ schema, name }: IndexRef): string {
  return renderTableName({ schema, name })
}
