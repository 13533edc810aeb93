import { z } from "zod"
import { sleep, startTimer } from "../system/clock.ts"
import type { PostgresAddress } from "./address.ts"
import { withClient } from "./connect.ts"

const patienceMs = 30_000
const status = z.enum(["committed", "aborted", "in progress"]).nullable()

/**
 * What became of a transaction whose connection was lost before it could say: `committed` or `aborted`. Its server may not have noticed
 * the loss yet: waits up to 30 s for it to end, then says `in progress`. `forgotten` when it is too long ago.
 */
export async function transactionOutcome(
  address: PostgresAddress,
  transaction: string,
  applicationName: string,
): Promise<"committed" | "aborted" | "in progress" | "forgotten"> {
  const elapsed = startTimer()
  return withClient(address, { applicationName }, async (client) => {
    for (;;) {
      const { rows } = await client.query("select pg_xact_status($1::xid8) as status", [transaction])
      const answer = z.object({ status }).parse(rows[0]).status
      if (answer !== "in progress") return answer ?? "forgotten"
      if (elapsed() > patienceMs) return answer
      await sleep(250)
    }
  })
}
