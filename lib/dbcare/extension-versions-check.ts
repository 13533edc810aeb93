import { z } from "zod"
import { quoteName } from "../postgres/name.ts"
import type { CareCheck } from "./check.ts"
import { ask } from "./team-relations.ts"
import { type Weighed, worstFirst } from "./worst-first.ts"

const extensionRow = z.object({
  name: z.string(),
  installed: z.string(),
  /** `null` where the server has no files of it any more. */
  offered: z.string().nullable(),
  canUpdate: z.boolean(),
  canGoBack: z.boolean(),
})

type Extension = z.output<typeof extensionRow>

/** Extensions whose objects are older than the library that the server loads for them. */
export const extensionVersionsCheck: CareCheck = {
  name: "extension-versions",
  about: "extensions that were not updated with the server, or whose files are gone from it",
  needs: "nothing",
  threshold: {},
  severity: "P3",
  async run({ client }) {
    const extensions = await ask(client, extensionRow, query)
    return worstFirst(extensions.length, extensions.flatMap(judgeExtension))
  },
}

/** A version is no number: newer is what an update leads to. Only the few that differ are asked for their ways. */
const query = `
  with found as materialized (
    select e.extname as name, e.extversion as installed, a.default_version as offered
      from pg_catalog.pg_extension e
      left join pg_catalog.pg_available_extensions a on a.name = e.extname)
  select f.name, f.installed, f.offered, coalesce(ways.forth, false) as "canUpdate", coalesce(ways.back, false) as "canGoBack"
    from found f
    left join lateral (
      select pg_catalog.bool_or(p.source = f.installed and p.target = f.offered) as forth,
             pg_catalog.bool_or(p.source = f.offered and p.target = f.installed) as back
        from pg_catalog.pg_extension_update_paths(f.name) p where f.offered <> f.installed and p.path is not null) ways on true`

function judgeExtension({ name, installed, offered, canUpdate, canGoBack }: Extension): Weighed[] {
  const own = quoteName(name)
  if (offered === null)
    return [
      {
        item: name,
        outcome: "warn",
        weight: 2,
        detail: `version ${installed} is installed, and the server has no files of it: what uses it fails, and so does an upgrade`,
        evidence: { installed },
        remedy: { advice: "install its package on the server, or drop the extension when nothing uses it" },
      },
    ]
  if (offered === installed || !canUpdate) return []
  return [
    {
      item: name,
      outcome: "warn",
      weight: 1,
      detail: `version ${installed} is installed, ${offered} is there`,
      evidence: { installed, offered },
      remedy: {
        advice: `read its release notes, then update it in a quiet hour${canGoBack ? "" : "; it has no way back: take a savepoint backup before"}`,
        run: [`alter extension ${own} update to '${offered.replaceAll("'", "''")}'`],
        ...(canGoBack && { undo: [`alter extension ${own} update to '${installed.replaceAll("'", "''")}'`] }),
      },
    },
  ]
}
