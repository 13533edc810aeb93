import type { Ledger } from "../ledger/ledger.ts"
import { runStream } from "./past-runs.ts"
import type { Verdict } from "./perform.ts"
import type { Teller } from "./tell.ts"

/** The run's own line and, of a real run, the rows that the job gave. Told after the others, since the line says how telling went. */
export function ledgerTeller(ledger: Ledger | undefined, kind: Verdict["kind"]): Teller {
  return {
    name: "ledger",
    timeoutMs: 60_000,
    async tell({ run, records }, signal) {
      if (kind === "slot done") return "skipped (the slot has its line)"
      if (!ledger) return "skipped (LEDGER is wrong)"
      const line = { stream: runStream(new Date(run.startedAt)), row: run }
      await ledger.append(run.dryRun ? [line] : [...records, line], signal)
      return "done"
    },
  }
}
