import type { Client } from "pg"
import { z } from "zod"
import { ConfigError } from "../core/config-error.ts"

const toleranceMs = 5 * 60_000

/**
 * Why a run for this slot would take fresh rows for old ones: the clock of the server has not come to it. Five minutes are let pass;
 * `undefined` when there is nothing against it.
 */
export async function futureSlotProblem(client: Client, slot: Date): Promise<string | undefined> {
  const { rows } = await client.query("select extract(epoch from clock_timestamp())::float8 as seconds")
  const now = new Date(z.object({ seconds: z.number() }).parse(rows[0]).seconds * 1000)
  if (slot.getTime() <= now.getTime() + toleranceMs) return undefined
  return `the slot ${slot.toISOString()} has not come: the clock of the database server says ${now.toISOString()}, and rows would seem older than they are. Correct --slot or --now, or whichever of the two clocks is wrong`
}

/** Throws `ConfigError` for a slot to which the clock of the server has not come. */
export async function refuseFutureSlot(client: Client, slot: Date): Promise<void> {
  const problem = await futureSlotProblem(client, slot)
  if (problem !== undefined) throw new ConfigError(problem)
}
