import type { Finding } from "../../lib/core/finding.ts"
import type { Outcome } from "../../lib/core/outcome.ts"
import { hourMs, minuteMs } from "./watch.ts"

/** Something that really was down, in milliseconds since the epoch. `cause` is the service that took it down. */
export type Outage = { service: string; from: number; to: number; inMaintenance: boolean }

/** One delivered run: what it saw, and which services were certainly down then. */
export type Tick = { at: Date; findings: Finding[]; isBlind: boolean }

export type Month = { seed: number; start: Date; end: Date; outages: Outage[]; ticks: Tick[] }

/** Random numbers that a seed repeats. */
export type Dice = {
  /** From 0 up to, not including, 1. */
  next(): number
  between(from: number, to: number): number
  chance(of: number): boolean
  pick<T>(from: readonly T[]): T
}

export function diceOf(seed: number): Dice {
  let state = seed >>> 0
  const next = () => {
    state = (state + 0x6d2b79f5) >>> 0
    let mixed = Math.imul(state ^ (state >>> 15), state | 1)
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32
  }
  const pick = <T>(from: readonly T[]): T => {
    const one = from[Math.floor(next() * from.length)]
    if (one === undefined) throw new Error("there is nothing to pick from")
    return one
  }
  return { next, pick, between: (from, to) => from + next() * (to - from), chance: (of) => next() < of }
}

/** `api` needs `db`; the others stand alone. `shop` has a maintenance window each day from 02:00 to 04:00. */
export const services = ["api", "db", "shop", "web"] as const
const dayMs = 24 * hourMs
const days = 30

/**
 * A month as it is on GitHub: days with regular ticks, days with a 65-minute median gap, days with hours missing; outages of 3 minutes
 * to 9 hours, deploys that fail for some seconds, looks that fail by chance, and runners whose network is broken. It ends with a
 * quiet day, so that everything can close.
 */
export function makeMonth(seed: number): Month {
  const dice = diceOf(seed)
  const start = Date.parse("2026-03-01T00:00:00Z")
  const outages = services.flatMap((service) => outagesOf(service, start, dice))
  const blips = new Map<string, Outage[]>(services.map((service) => [service, blipsOf(service, start, dice)]))
  const times = tickTimes(start, dice)
  const sight = { outages, blips, dice, lastChance: new Map<string, number>() }
  const ticks = times.map((at, index) => tickAt(at, index, sight))
  return { seed, start: new Date(start), end: new Date(start + (days + 1) * dayMs), outages, ticks }
}

/** True while the service, or what it needs, is down. */
export function isDownAt({ outages }: Pick<Month, "outages">, service: string, at: number): boolean {
  const needed = service === "api" ? ["api", "db"] : [service]
  return outages.some((outage) => needed.includes(outage.service) && outage.from <= at && at < outage.to)
}

function outagesOf(service: string, start: number, dice: Dice): Outage[] {
  const outages: Outage[] = []
  let at = start + dice.between(1, 48) * hourMs
  while (at < start + days * dayMs) {
    // Log-uniform: as many of minutes as of hours; some follow each other closely.
    const to = Math.min(at + 3 * minuteMs * 180 ** dice.next(), start + days * dayMs)
    outages.push({ service, from: at, to, inMaintenance: false })
    at = to + (dice.chance(0.3) ? dice.between(5, 90) * minuteMs : dice.between(6, 96) * hourMs)
  }
  return service === "shop" ? [...outages, ...maintenanceOf(start, dice)] : outages
}

/** Work on the shop: some of it takes longer than its window. */
function maintenanceOf(start: number, dice: Dice): Outage[] {
  const nights = Array.from({ length: days }, (_, day) => start + day * dayMs + 2 * hourMs)
  return nights
    .filter(() => dice.chance(0.3))
    .map((from) => ({ service: "shop", from, to: from + dice.between(0.5, 4) * hourMs, inMaintenance: true }))
}

function blipsOf(service: string, start: number, dice: Dice): Outage[] {
  return Array.from({ length: 100 }, () => {
    const from = start + dice.next() * days * dayMs
    return { service, from, to: from + dice.between(3, 25) * 1000, inMaintenance: false }
  })
}

function tickTimes(start: number, dice: Dice): number[] {
  const times: number[] = []
  for (let day = 0; day <= days; day++) {
    const begin = start + day * dayMs
    const gapMs = day === days ? () => 30 * minuteMs : dice.pick([regular, sparse, holed])(dice)
    let at = Math.max(begin, (times.at(-1) ?? begin) + minuteMs)
    while (at < begin + dayMs) {
      times.push(Math.round(at))
      at += gapMs()
    }
  }
  return times
}

const regular = (dice: Dice) => () => 5 * minuteMs + dice.between(0, 60_000)
const sparse = (dice: Dice) => () => 65 * minuteMs * Math.exp(1.2 * (dice.next() + dice.next() + dice.next() - 1.5))
const holed = (dice: Dice) => () =>
  dice.chance(0.03) ? dice.between(2, 8) * hourMs : 10 * minuteMs + dice.between(0, 120_000)

type Sight = { outages: Outage[]; blips: ReadonlyMap<string, Outage[]>; dice: Dice; lastChance: Map<string, number> }

function tickAt(at: number, index: number, sight: Sight): Tick {
  const isBlind = sight.dice.chance(0.03)
  const findings = services.map((service): Finding => {
    const subject = `service/${service}`
    if (isBlind) return { subject, outcome: "unknown", detail: "no canary answers: the network here is broken" }
    const inMaintenance = service === "shop" && isWithinWindow(at)
    return { ...lookAt(service, at, index, sight), ...(inMaintenance && { inMaintenance }) }
  })
  return { at: new Date(at), findings, isBlind }
}

function isWithinWindow(at: number): boolean {
  const hour = new Date(at).getUTCHours()
  return hour === 2 || hour === 3
}

/** A failure is looked at three times within 30 s, and is one only when it was bad each time. */
function lookAt(service: string, at: number, index: number, sight: Sight): Finding {
  const subject = `service/${service}`
  const tries = [at, at + 10_000, at + 30_000]
  const isDown = (one: number) =>
    isDownAt(sight, service, one) || isDownAt({ outages: sight.blips.get(service) ?? [] }, service, one)
  if (tries.every(isDown)) {
    const cause = service === "api" && tries.every((one) => isDownAt(sight, "db", one)) ? { cause: "service/db" } : {}
    return { subject, outcome: "fail", detail: "it does not answer", class: "timeout", isConfirmed: true, ...cause }
  }
  const outcome = chanceOutcome(subject, index, sight)
  return { subject, outcome, detail: outcome === "ok" ? "as it should be" : "it answered oddly, once" }
}

/** What one look may see by chance: never twice within the looks that the policy counts. */
function chanceOutcome(subject: string, index: number, { dice, lastChance }: Sight): Outcome {
  // Bad by chance just after a window is, to the policy, what is still bad when the window ends.
  if (subject === "service/shop") return "ok"
  const isSoon = index - (lastChance.get(subject) ?? Number.NEGATIVE_INFINITY) < 12
  if (isSoon || !dice.chance(0.02)) return "ok"
  lastChance.set(subject, index)
  return dice.pick(["warn", "fail"])
}
