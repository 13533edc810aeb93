import { autovacuumCheck } from "./autovacuum-check.ts"
import type { CareCheck } from "./check.ts"
import { cacheHitCheck, checksumFailuresCheck, deadlocksCheck, tempFilesCheck } from "./counters-checks.ts"
import { transactionAgeCheck, xminHorizonCheck } from "./horizon-checks.ts"
import { replicationLagCheck, replicationSlotsCheck } from "./replication-checks.ts"
import { blockingCheck, connectionsCheck, idleInTransactionCheck, longStatementsCheck } from "./sessions-checks.ts"
import { slowQueriesCheck } from "./slow-queries-check.ts"

/** What the server is doing, and has been doing since the last look. */
export const activityChecks: readonly CareCheck[] = [
  connectionsCheck,
  longStatementsCheck,
  idleInTransactionCheck,
  blockingCheck,
  xminHorizonCheck,
  transactionAgeCheck,
  autovacuumCheck,
  replicationSlotsCheck,
  replicationLagCheck,
  tempFilesCheck,
  deadlocksCheck,
  cacheHitCheck,
  checksumFailuresCheck,
  slowQueriesCheck,
]
