import { z } from "zod"
import { formatCount } from "../core/size.ts"
import type { CareCheck, CareItem } from "./check.ts"
import { levelOf, unseen } from "./sessions-checks.ts"

const holderRow = z.object({ kind: z.string(), name: z.string(), age: z.coerce.number() })

/** Everything that keeps VACUUM from removing rows here: the transaction that each still needs, as its age in transactions. */
const holders = `
  select 'session' as kind, coalesce(nullif(application_name, ''), 'a session') || ' of ' || coalesce(usename, '?') as name,
         max(age(backend_xmin)) as age
    from pg_stat_activity where backend_xmin is not null and pid <> pg_backend_pid() and backend_type <> 'walsender'
           and (datname = current_database() or datname is null) group by 1, 2
  union all select 'prepared transaction', gid, age(transaction) from pg_prepared_xacts
  union all select 'replication slot', slot_name::text, greatest(age(xmin), age(catalog_xmin)) from pg_replication_slots
             where xmin is not null or catalog_xmin is not null
  union all select 'standby', coalesce(nullif(application_name, ''), 'a standby'), age(backend_xmin)
              from pg_stat_replication where backend_xmin is not null
  order by age desc limit 20`

const remedies: Record<string, { advice: string; run?: (name: string) => string }> = {
  session: { advice: "end the session, or see why its transaction stays open (long-statements, idle-in-transaction)" },
  "prepared transaction": {
    advice: "commit or roll back the prepared transaction: nobody will do it by itself",
    run: (name) => `rollback prepared '${name.replaceAll("'", "''")}'`,
  },
  "replication slot": {
    advice: "bring its consumer back; drop the slot when there will be none",
    run: (name) => `select pg_drop_replication_slot('${name.replaceAll("'", "''")}')`,
  },
  standby: { advice: "end the long query on the standby, or switch hot_standby_feedback off there" },
}

/** What holds back the removal of dead rows. */
export const xminHorizonCheck: CareCheck = {
  name: "xmin-horizon",
  about: "sessions, prepared transactions, slots and standbys that keep dead rows from being removed",
  needs: "membership in pg_monitor, to see other roles' sessions",
  unit: "transactions",
  threshold: { warn: 1_000_000, fail: 50_000_000 },
  severity: "P2",
  async run({ client, may }, threshold) {
    const rows = z.array(holderRow).parse((await client.query(holders)).rows)
    const items = rows.flatMap(({ kind, name, age }): CareItem[] => {
      const outcome = levelOf(age, threshold)
      if (!outcome) return []
      const { advice, run } = remedies[kind] ?? { advice: "see what it is" }
      const detail = `the ${kind} needs rows as they were ${formatCount(age)} transactions ago: nothing younger is cleaned up`
      const remedy = { advice, ...(run && { run: [run(name)] }) }
      return [{ item: `${kind} ${name}`, outcome, detail, evidence: { age }, remedy }]
    })
    const hidden = unseen({ may }, "sessions and standbys")
    if (hidden && items.length === 0) return hidden // slots and prepared transactions are fine; of the rest nothing is known
    const notes = may.readsStats ? [] : [`${may.role} sees its own sessions alone: grant pg_monitor to it`]
    return { status: "done", looked: rows.length, items, numbers: { "xmin.age": rows[0]?.age ?? 0 }, notes }
  },
}

const ageRow = z.object({
  xids: z.coerce.number(),
  multixacts: z.coerce.number(),
  table: z.string().nullable(),
  multixactTable: z.string().nullable(),
})

/** The server stops taking writes some three million ids before half of the 32 bits are used up. */
const lastId = 2 ** 31 - 3_000_000

const oldestBy = (age: string) =>
  `(select format('%I.%I', n.nspname, c.relname) from pg_class c join pg_namespace n on n.oid = c.relnamespace
     where c.relkind in ('r', 'm', 't') and c.relfrozenxid <> '0' order by ${age} desc limit 1)`

/** How near transaction ids and multixact ids are to their end. */
export const transactionAgeCheck: CareCheck = {
  name: "transaction-age",
  about: "age of the oldest transaction and multixact id, against the point at which the server stops writing",
  needs: "nothing",
  unit: "percent of the ids",
  threshold: { warn: 25, fail: 50 },
  severity: "P1",
  async run({ client }, threshold) {
    const { rows } = await client.query(
      `select age(datfrozenxid) as xids, mxid_age(datminmxid) as multixacts,
              ${oldestBy("age(c.relfrozenxid)")} as table, ${oldestBy("mxid_age(c.relminmxid)")} as "multixactTable"
         from pg_database where datname = current_database()`,
    )
    const { xids, multixacts, table, multixactTable } = ageRow.parse(rows[0])
    const items = [
      { item: "transaction ids", age: xids, oldest: table },
      { item: "multixact ids", age: multixacts, oldest: multixactTable },
    ].flatMap(({ item, age, oldest }): CareItem[] => {
      const percent = (100 * age) / lastId
      const outcome = levelOf(percent, threshold)
      if (!outcome) return []
      const where = oldest ?? "the oldest table"
      return [
        {
          item,
          outcome,
          detail: `the oldest of ${item} is ${formatCount(age)} old (${percent.toFixed(0)} % of all); the server stops writing at 100 %; oldest in ${where}`,
          evidence: { age, percent: Number(percent.toFixed(1)) },
          remedy: {
            advice: "see what holds the horizon back (xmin-horizon), then freeze the oldest tables",
            run: [`vacuum (freeze, verbose) ${where}`],
          },
        },
      ]
    })
    return { status: "done", looked: 2, items, numbers: { "age.xids": xids, "age.multixacts": multixacts } }
  },
}
