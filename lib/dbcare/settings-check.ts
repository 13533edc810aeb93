import { z } from "zod"
import { quoteTable } from "../postgres/name.ts"
import type { CareCheck } from "./check.ts"
import { ask, isOfTeam } from "./team-relations.ts"
import { noteOf, type Weighed, worstFirst } from "./worst-first.ts"

type Risk = { outcome: "warn" | "fail"; bad: string; good: string; why: string; needsRestart?: boolean }

/** Values that lose data, hide damage or let the database rot (manual, "Server Configuration"). */
const risks: Record<string, Risk> = {
  fsync: { outcome: "fail", bad: "off", good: "on", why: "a crash of the machine can destroy the whole database" },
  full_page_writes: { outcome: "fail", bad: "off", good: "on", why: "a crash of the machine can tear pages for good" },
  autovacuum: {
    outcome: "fail",
    bad: "off",
    good: "on",
    why: "tables bloat, plans go bad, and transaction ids run out",
  },
  track_counts: {
    outcome: "fail",
    bad: "off",
    good: "on",
    why: "autovacuum does not know what is due, and this page knows little",
  },
  zero_damaged_pages: { outcome: "fail", bad: "on", good: "off", why: "damaged pages are emptied without a word" },
  ignore_checksum_failure: {
    outcome: "fail",
    bad: "on",
    good: "off",
    why: "damaged pages are read as if they were good",
  },
  ignore_system_indexes: {
    outcome: "warn",
    bad: "on",
    good: "off",
    why: "meant for repairs alone: everything is slow",
    needsRestart: true,
  },
  synchronous_commit: {
    outcome: "warn",
    bad: "off",
    good: "on",
    why: "a crash loses the last transactions that were confirmed",
  },
  password_encryption: {
    outcome: "warn",
    bad: "md5",
    good: "scram-sha-256",
    why: "new passwords are kept in a form that is easy to break",
  },
  wal_level: {
    outcome: "warn",
    bad: "minimal",
    good: "replica",
    why: "neither a replica nor recovery to a point in time is possible",
    needsRestart: true,
  },
}

const settingRow = z.object({ name: z.string(), value: z.string(), isPending: z.boolean() })
const tableRow = z.object({ schema: z.string(), name: z.string() })

/** Settings of the server, and of tables, that put data at risk. */
export const settingsCheck: CareCheck = {
  name: "settings",
  about: "settings that can lose data or hide damage, and tables that autovacuum may not touch",
  needs: "nothing",
  threshold: {},
  severity: "P2",
  async run({ client }) {
    const rows = await ask(
      client,
      settingRow,
      `select s.name, coalesce(s.reset_val, s.setting) as value, s.pending_restart as "isPending" from pg_catalog.pg_settings s
        where s.name = any($1) or s.pending_restart`,
      [[...Object.keys(risks), "data_checksums"]],
    )
    const tables = await ask(
      client,
      tableRow,
      `select n.nspname as schema, c.relname as name from pg_catalog.pg_class c
         join pg_catalog.pg_namespace n on n.oid = c.relnamespace
        where c.relkind in ('r', 'm') and ${isOfTeam}
          and exists (select from pg_catalog.pg_options_to_table(c.reloptions) o
                       where o.option_name = 'autovacuum_enabled' and not o.option_value::bool)`,
    )
    const found = [...rows.flatMap(({ name, value }) => judgeSetting(name, value)), ...tables.map(describeTable)]
    const readValue = (name: string) => rows.find((row) => row.name === name)?.value
    const pending = rows.filter(({ isPending }) => isPending)
    const hidden = Object.keys(risks).filter((name) => readValue(name) === undefined)
    const notes = [
      ...(readValue("data_checksums") === "off"
        ? [
            "data checksums are off: damage on the disk is noticed late (pg_checksums --enable while the server is stopped)",
          ]
        : []),
      ...pending.map(({ name }) => `${name} was changed and waits for a restart`),
      ...noteOf(hidden.length, "setting", `not looked at, this server does not show them: ${hidden.join(", ")}`),
    ]
    return worstFirst(rows.length, found, { notes })
  },
}

/** What a value of a setting means; nothing for one that is not watched. Pure. */
export function judgeSetting(name: string, value: string): Weighed[] {
  const risk = risks[name]
  if (!risk || risk.bad !== value) return []
  const apply = risk.needsRestart ? [] : ["select pg_reload_conf()"]
  return [
    {
      item: name,
      outcome: risk.outcome,
      weight: 1,
      detail: `${value}: ${risk.why}`,
      evidence: { value, wanted: risk.good },
      remedy: {
        advice: `set it to ${risk.good}${risk.needsRestart ? ", and restart the server" : ""}; on a managed server in its parameter group or dashboard`,
        run: [`alter system set ${name} = '${risk.good}'`, ...apply],
        undo: [`alter system set ${name} = '${risk.bad}'`, ...apply],
      },
    },
  ]
}

function describeTable({ schema, name }: z.output<typeof tableRow>): Weighed {
  const own = quoteTable({ schema, name })
  return {
    item: `${schema}.${name}`,
    outcome: "warn",
    weight: 0,
    detail: "autovacuum is switched off for it: it bloats, its statistics age, and it is frozen only in an emergency",
    evidence: { autovacuum_enabled: "false" },
    remedy: {
      advice: "switch it on again, unless a job vacuums it by itself",
      run: [`alter table ${own} reset (autovacuum_enabled)`],
      undo: [`alter table ${own} set (autovacuum_enabled = false)`],
    },
  }
}
