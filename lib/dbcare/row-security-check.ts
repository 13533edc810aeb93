import { quoteName, quoteTable } from "../postgres/name.ts"
import type { CareCheck, CareItem, Remedy } from "./check.ts"
import {
  type ExposedFunction,
  type ExposedTable,
  type ExposedView,
  existingSchemas,
  readFunctions,
  readTables,
  readViews,
} from "./exposed-objects.ts"
import { type Weighed, worstFirst } from "./worst-first.ts"

/** Ways around row security on what clients reach over an API. */
export const rowSecurityCheck: CareCheck = {
  name: "row-security",
  about:
    "holes in row security of exposed schemas: tables without it, policies that do nothing, views and functions around it",
  needs: "nothing",
  threshold: {},
  severity: "P2",
  async run({ client, settings, versionNumber }) {
    const schemas = settings.exposedSchemas
    const existing = await existingSchemas(client, schemas)
    const tables = await readTables(client, existing)
    const views = await readViews(client, existing)
    const functions = await readFunctions(client, existing)
    const found = [
      ...tables.flatMap(judgeTable),
      ...views.map((view) => describeView(view, versionNumber)),
      ...functions.map(describeFunction),
    ]
    const missing = schemas.filter((schema) => !existing.includes(schema))
    const notes = missing.map((schema) => `there is no schema ${schema}: correct care.exposedSchemas`)
    return worstFirst(tables.length, found, { notes })
  },
}

/** What is wrong with a table, the worst alone: what clients may write counts most. Pure. */
export function judgeTable(table: ExposedTable): Weighed[] {
  const { schema, name, kind, isExposedSchema, hasRowSecurity, policies, roles, mayRead, mayWrite } = table
  const isOpen = isExposedSchema && (mayRead || mayWrite)
  const item = (outcome: CareItem["outcome"], detail: string, remedy: Remedy): Weighed[] => [
    {
      item: `${schema}.${name}`,
      outcome,
      weight: Number(mayWrite) * 2 + Number(mayRead),
      detail,
      evidence: { policies, roles: roles.join(", "), may: mayWrite ? "write" : mayRead ? "read" : "nothing" },
      remedy,
    },
  ]
  const own = quoteTable({ schema, name })
  const enable = {
    run: [`alter table ${own} enable row level security`],
    undo: [`alter table ${own} disable row level security`],
  }
  const who = `${roles.join(" and ")} may ${mayWrite ? "change" : "read"}`
  if (kind === "m" || kind === "f") {
    if (!isOpen) return []
    const word = kind === "m" ? "materialized view" : "foreign table"
    return item("warn", `a ${word}, which has no row security: ${who} all of it`, revokeFrom(own, roles))
  }
  if (!hasRowSecurity && policies > 0)
    return item(
      isOpen ? "fail" : "warn",
      `row security is off, so that its ${policies === 1 ? "policy does" : `${policies} policies do`} nothing${isOpen ? `: ${who} all rows` : ""}`,
      { advice: "switch it on; try the app's queries as a user of it before", ...enable },
    )
  if (!hasRowSecurity && isOpen)
    return item(mayWrite ? "fail" : "warn", `no row security: ${who} all rows`, {
      advice:
        "switch it on and give it policies: without any, clients see nothing. Where everybody may read all of it, say so with a policy for select using (true)",
      ...enable,
    })
  if (hasRowSecurity && policies === 0 && isOpen)
    return item("warn", `row security without a policy: ${roles.join(" and ")} were granted rights and reach no row`, {
      advice: "write the policies that were meant; where none were, take the rights away",
      ...revoke(own, roles),
    })
  return []
}

function revokeFrom(own: string, roles: readonly string[]): Remedy {
  return {
    advice: "show clients a view or function with the part that they may see, and take this away",
    ...revoke(own, roles),
  }
}

/** The undo gives reading back, which is the usual right; what else was granted is in the catalogue before it is run. */
function revoke(own: string, roles: readonly string[]): Pick<Remedy, "run" | "undo"> {
  const list = roles.map((role) => (role === "public" ? role : quoteName(role))).join(", ")
  return { run: [`revoke all on ${own} from ${list}`], undo: [`grant select on ${own} to ${list}`] }
}

function describeView({ schema, name, owner, roles, mayWrite, tables }: ExposedView, versionNumber: number): Weighed {
  const own = quoteTable({ schema, name })
  const who = `${roles.join(" and ")} may ${mayWrite ? "change" : "read"}`
  return {
    item: `${schema}.${name}`,
    outcome: mayWrite ? "fail" : "warn",
    weight: mayWrite ? 2 : 1,
    detail: `a view that reads ${tables.join(", ")} as ${owner}, to whom row security does not apply: ${who} all rows that it shows`,
    evidence: { owner, roles: roles.join(", "), tables: tables.join(", ") },
    remedy:
      versionNumber >= 150_000
        ? {
            advice: "let it read as the one who asks; who asks then needs rights on the tables",
            run: [`alter view ${own} set (security_invoker = true)`],
            undo: [`alter view ${own} reset (security_invoker)`],
          }
        : {
            advice:
              "before Postgres 15 a view cannot read as the one who asks: give it an owner to whom row security applies, or take the rights away",
            ...revoke(own, roles),
          },
  }
}

function describeFunction({ schema, name, arguments: args, isProcedure, owner, roles }: ExposedFunction): Weighed {
  const own = `${isProcedure ? "procedure" : "function"} ${quoteTable({ schema, name })}(${args})`
  const callers = roles.length > 0 ? roles.join(" and ") : "nobody of the clients"
  return {
    item: `${schema}.${name}(${args})`,
    outcome: "warn",
    weight: roles.length > 0 ? 1 : 0,
    detail: `runs as ${owner} with the caller's search path: who can make a table or function can slip it one of theirs; ${callers} may call it`,
    evidence: { owner, roles: roles.join(", ") },
    remedy: {
      advice: "give it an empty search path, and write the names within it with their schemas",
      run: [`alter ${own} set search_path = ''`],
      undo: [`alter ${own} reset search_path`],
    },
  }
}
