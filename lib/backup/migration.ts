import { type Client, escapeIdentifier } from "pg"
import { z } from "zod"

/** Where common tools keep the list of applied migrations, and the column that orders it. */
const ledgers = [
  { schema: "supabase_migrations", table: "schema_migrations", column: "version", tool: "supabase" },
  { schema: "drizzle", table: "__drizzle_migrations", column: "created_at", tool: "drizzle" },
  { schema: "graphile_migrate", table: "migrations", column: "date", tool: "graphile-migrate" },
  { schema: "public", table: "_prisma_migrations", column: "migration_name", tool: "prisma" },
  { schema: "public", table: "knex_migrations", column: "name", tool: "knex" },
  { schema: "public", table: "flyway_schema_history", column: "installed_rank", tool: "flyway" },
  { schema: "public", table: "django_migrations", column: "id", tool: "django" },
  { schema: "public", table: "alembic_version", column: "version_num", tool: "alembic" },
  { schema: "public", table: "schema_migrations", column: "version", tool: "schema_migrations" },
  { schema: "public", table: "migrations", column: "id", tool: "migrations" },
]

/** The newest migration that the app's own tool recorded, so that a restored copy can be matched with a commit of the app. */
export async function latestMigration(client: Client): Promise<{ tool: string; migration: string } | undefined> {
  for (const { schema, table, column, tool } of ledgers) {
    const found = await client.query(
      `select 1 from pg_catalog.pg_attribute a join pg_catalog.pg_class c on c.oid = a.attrelid join pg_catalog.pg_namespace n on n.oid = c.relnamespace
        where n.nspname = $1 and c.relname = $2 and a.attname = $3 and c.relkind in ('r', 'p') and has_table_privilege(c.oid, 'select')
          and has_schema_privilege(n.oid, 'usage')`,
      [schema, table, column],
    )
    if (found.rows.length === 0) continue
    const name = escapeIdentifier(column)
    const { rows } = await client.query(
      `select ${name}::text as migration from ${escapeIdentifier(schema)}.${escapeIdentifier(table)} order by ${name} desc limit 1`,
    )
    if (rows[0]) return { tool, migration: z.string().parse(rows[0].migration) }
  }
  return undefined
}
