const secondsOf: Record<string, number> = {
  s: 1,
  sec: 1,
  second: 1,
  seconds: 1,
  m: 60,
  min: 60,
  minute: 60,
  minutes: 60,
  h: 3600,
  hour: 3600,
  hours: 3600,
  d: 86_400,
  day: 86_400,
  days: 86_400,
  w: 604_800,
  week: 604_800,
  weeks: 604_800,
}

/** Milliseconds of a text such as `90s`, `3 days` or `1h 30m`; `undefined` when it is not a duration. */
export function parseDuration(text: string): number | undefined {
  const pattern = /\s*(\d+(?:\.\d+)?)\s*([a-z]+)\s*/gy
  let totalMs = 0
  let end = 0
  for (const match of text.toLowerCase().matchAll(pattern)) {
    const seconds = secondsOf[match[2] ?? ""]
    if (seconds === undefined) return undefined
    totalMs += Number(match[1]) * seconds * 1000
    end = match.index + match[0].length
  }
  return end === text.length && end > 0 ? totalMs : undefined
}

/** A duration as a person reads it: `820 ms`, `4.2 s`, `3 min 20 s`, `2 h 5 min`, `3 d 4 h`. */
export function formatDuration(ms: number): string {
  if (ms < 1000) return `${Math.round(ms)} ms`
  if (ms < 59_950) return `${(ms / 1000).toFixed(1)} s`
  const seconds = Math.round(ms / 1000)
  if (seconds < 3600) return pair(Math.floor(seconds / 60), "min", seconds % 60, "s")
  const minutes = Math.round(seconds / 60)
  if (minutes < 48 * 60) return pair(Math.floor(minutes / 60), "h", minutes % 60, "min")
  const hours = Math.round(minutes / 60)
  return pair(Math.floor(hours / 24), "d", hours % 24, "h")
}

function pair(large: number, largeUnit: string, small: number, smallUnit: string): string {
  return small === 0 ? `${large} ${largeUnit}` : `${large} ${largeUnit} ${small} ${smallUnit}`
}
