import type { ServerFacts, StoredObjectFacts } from "./manifest.ts"
import { objectNames } from "./set.ts"

export type RecoveryFacts = {
  database: string
  snapshotAt: string
  server: ServerFacts
  dump: StoredObjectFacts
  roles: StoredObjectFacts | undefined
  recipients: readonly string[]
  excluded: readonly string[]
}

/**
 * The page beside every backup: how to restore it with `age`, `zstd` and PostgreSQL alone, by someone who has never seen this
 * repository. Each fenced `sh` block is run as it stands by a test.
 */
export function renderRecovery(facts: RecoveryFacts): string {
  return [
    `# How to restore this backup of \`${facts.database}\``,
    "",
    `It shows the database as it was at ${facts.snapshotAt}, on PostgreSQL ${facts.server.version}.`,
    "Nothing but standard tools is needed: `age` (1.3 or later for post-quantum keys), `zstd`, and `pg_restore` and `psql` of",
    `PostgreSQL ${facts.server.major}.`,
    ...(facts.excluded.length > 0 ? ["", `Not in this backup, by configuration: ${facts.excluded.join(", ")}.`] : []),
    "",
    "## 1. Get ready",
    "",
    "Download all files of this folder into one directory and go there. Put the private key (a line that begins with",
    "`AGE-SECRET-KEY-`) into `key.txt`. It belongs to one of the public keys with these fingerprints (the first 16 hexadecimal",
    `digits of the key's SHA-256): ${facts.recipients.map((print) => `\`${print}\``).join(", ")}.`,
    "",
    "Say which server to restore into, as a role that may create roles and databases:",
    "",
    "    export PGHOST=… PGPORT=5432 PGUSER=postgres PGPASSWORD=…",
    "",
    "## 2. Check that nothing was damaged on the way",
    "",
    "```sh",
    "sha256sum --check <<'SUMS'",
    `${facts.dump.sealedSha256}  ${objectNames.dump}`,
    ...(facts.roles ? [`${facts.roles.sealedSha256}  ${objectNames.roles}`] : []),
    "SUMS",
    "```",
    "",
    "## 3. Bring back the roles",
    "",
    ...rolesSteps(facts),
    "## 4. Make an empty database like the old one",
    "",
    "```sh",
    `psql --no-psqlrc --set ON_ERROR_STOP=1 --dbname postgres --command "${createDatabase(facts.server)}"`,
    ...setMonetary(facts.server),
    "```",
    "",
    "## 5. Restore",
    "",
    "```sh",
    "set -o pipefail",
    `age --decrypt --identity key.txt ${objectNames.dump} | zstd --decompress --stdout | pg_restore --exit-on-error --dbname restored`,
    "```",
    "",
    "The exit code must be 0. To look into the archive first: `… | pg_restore --list`; to restore one table: `--table`, `--schema`.",
    "",
    "## 6. Before you point the app at it",
    "",
    "- Give the login roles passwords: a backup holds none (`alter role … password …`).",
    "- Run `vacuumdb --analyze-only --dbname restored`: statistics are not in a dump.",
    "- Settings, grants and the comment of the database itself were not restored. The dump has them under the old name:",
    "  `… | pg_restore --create --schema-only --file - | grep -E '^(ALTER|COMMENT ON|GRANT|REVOKE) .*DATABASE '` prints them.",
    "- Event triggers are restored before materialized views are filled, and that sets them off. Where one of them forbids it, a superuser",
    "  restores with `PGOPTIONS='-c session_replication_role=replica'`.",
    "- `proof.json.zst.age` holds what the database contained, table by table, taken inside the dump's own snapshot: exact rows and",
    "  content hashes. Decrypt it the same way and compare.",
    "",
  ].join("\n")
}

function rolesSteps(facts: RecoveryFacts): string[] {
  if (!facts.roles) {
    return [
      "This backup could not read them (the reason is in `manifest.json`): create the roles that the dump names by hand, or add",
      "`--no-owner --no-privileges` to step 5.",
      "",
    ]
  }
  return [
    "Roles that exist already are reported as errors; that is harmless.",
    "",
    "```sh",
    `age --decrypt --identity key.txt ${objectNames.roles} | zstd --decompress --stdout | psql --no-psqlrc --dbname postgres`,
    "```",
    "",
  ]
}

/** Amounts of type money are in the dump the way this locale writes them. */
function setMonetary({ lcMonetary }: ServerFacts): string[] {
  if (lcMonetary === undefined) return []
  return [
    `psql --no-psqlrc --set ON_ERROR_STOP=1 --dbname postgres --command "alter database restored set lc_monetary = ${shell(quoted(lcMonetary))}"`,
  ]
}

function createDatabase(server: ServerFacts): string {
  const parts = [`create database restored template template0 encoding ${quoted(server.encoding)}`]
  if (server.major >= 15) parts.push(`locale_provider ${server.localeProvider}`)
  parts.push(`lc_collate ${quoted(server.collate)} lc_ctype ${quoted(server.ctype)}`)
  if (server.icuLocale) parts.push(`icu_locale ${quoted(server.icuLocale)}`)
  if (server.builtinLocale) parts.push(`builtin_locale ${quoted(server.builtinLocale)}`)
  if (server.icuRules) parts.push(`icu_rules ${quoted(server.icuRules)}`)
  return shell(parts.join(" "))
}

function quoted(text: string): string {
  return `'${text.replaceAll("'", "''")}'`
}

/** As it must stand between double quotes of a shell. */
function shell(text: string): string {
  return text.replace(/(["$`\\])/g, "\\$1")
}
