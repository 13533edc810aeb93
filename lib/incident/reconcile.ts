import type { Finding } from "../core/finding.ts"
import type { Outcome } from "../core/outcome.ts"
import type { Incident, MessageKind } from "./incident.ts"

/** When a finding becomes an incident and how often people hear of it: `alerts.policy`, in milliseconds. */
export type Policy = {
  confirmRuns: number
  confirmOf: number
  closeRuns: number
  remindersMs: readonly number[]
  flapCount: number
  flapWindowMs: number
  digestEveryMs: number
}

/** The latest outcomes of a subject from the ledger, oldest first, without the present run. */
export type Recent = ReadonlyMap<string, readonly { at: Date; outcome: Outcome; inMaintenance?: boolean }[]>

/** What must be done. `say` lists what is to be said, by incident; several openings of one run are one digest. */
export type Action =
  | { kind: "open"; incident: Incident; why: string }
  | { kind: "update"; incident: Incident; why: string; comment?: string }
  | { kind: "close"; incident: Incident; why: string }
  | { kind: "reopen"; incident: Incident; why: string }

/** What people hear of one run: the kind and the incidents that it is about. */
export type Saying = { kind: MessageKind; incidents: Incident[]; muted: string[] }

export type Reconciliation = { actions: Action[]; sayings: Saying[] }

export declare function reconcile(
  findings: readonly Finding[],
  recent: Recent,
  incidents: readonly Incident[],
  policy: Policy,
  now: Date,
): Reconciliation
