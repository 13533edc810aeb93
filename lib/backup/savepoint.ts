import type { Client } from "pg"

/**
 * Goes back to a savepoint and forgets it. What was read inside keeps no lock: a server with default settings has room for a few
 * thousand, and reading a table takes one for each of its indexes too.
 */
export async function endSavepoint(client: Client, name: "facts" | "sequences"): Promise<void> {
  await client.query(`rollback to savepoint ${name}; release savepoint ${name}`)
}
