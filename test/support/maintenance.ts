import { careSchema } from "../../lib/config/care-schema.ts"
import type { ActionKind, ActionOutcome } from "../../lib/dbcare/actions.ts"
import { type Maintenance, type MaintenanceOrder, maintain, rehearseMaintenance } from "../../lib/dbcare/maintain.ts"
import { mutedLog } from "../../lib/job/public-run.ts"
import { parsePostgresUrl } from "../../lib/postgres/address.ts"
import type { TestDatabase } from "./postgres.ts"

export type CareWishes = Partial<
  Pick<MaintenanceOrder, "address" | "wishes" | "remainingMs" | "signal" | "lockWaitMs" | "log">
> & {
  care?: Record<string, unknown>
  /** Who does it; the superuser unless told. */
  url?: string
}

/** Maintains a test database. */
export function careFor(database: Pick<TestDatabase, "url">, wishes: CareWishes = {}): Promise<Maintenance> {
  return maintain(orderFor(database, wishes))
}

/** Plans the maintenance of a test database and leaves it at that. */
export function planFor(database: Pick<TestDatabase, "url">, wishes: CareWishes = {}): Promise<Maintenance> {
  return rehearseMaintenance(orderFor(database, wishes))
}

function orderFor(
  database: Pick<TestDatabase, "url">,
  { care = {}, url = database.url, ...wishes }: CareWishes,
): MaintenanceOrder {
  return {
    database: "main",
    address: parsePostgresUrl(url, "DATABASE_WRITE_URL"),
    care: careSchema.parse(care),
    wishes: {},
    lockWaitMs: 0,
    remainingMs: () => 600_000,
    log: mutedLog,
    signal: new AbortController().signal,
    ...wishes,
  }
}

/** What came of the actions of a kind, by what they were about. */
export function endsOf({ outcomes }: Maintenance, kind: ActionKind): Record<string, ActionOutcome["end"]> {
  const ofKind = outcomes.filter(({ action }) => action.action === kind)
  return Object.fromEntries(ofKind.map(({ action, end }) => [action.target, end]))
}

/** A table of 60,000 rows whose index holds mostly dead entries: autovacuum never came. */
export const bloatedSql = `
  create table events (id int, kind text) with (autovacuum_enabled = false);
  create index events_id on events (id);
  insert into events select i, 'kind ' || i % 7 from generate_series(1, 60000) i;
  delete from events where id % 10 <> 0;`

/** Waits until a query has rows, at most 20 s. */
export async function untilRows(database: TestDatabase, sql: string): Promise<Record<string, unknown>[]> {
  const deadline = AbortSignal.timeout(20_000)
  for (;;) {
    const rows = await database.query(sql)
    if (rows.length > 0) return rows
    if (deadline.aborted) throw new Error(`no rows within 20 s: ${sql}`)
  }
}
