import type { Incident } from "./incident.ts"

/** Somebody said that they are at it, and that has not run out. */
export function isAcked({ ack }: Incident, now: Date): boolean {
  return ack !== undefined && now.getTime() < Date.parse(ack.until)
}

/** Somebody said that nobody wants to hear of it, and that has not run out. */
export function isSilenced({ silence }: Incident, now: Date): boolean {
  return silence !== undefined && now.getTime() < Date.parse(silence.until)
}

/** Nothing is said of it at present but that it is over. */
export function isQuiet(incident: Incident, now: Date): boolean {
  return isAcked(incident, now) || isSilenced(incident, now)
}

/** An acknowledgement or a silence has run out, and nothing was said since. */
export function hasQuietEnded({ ack, silence, outbox }: Incident, now: Date): boolean {
  const ends = [ack, silence].flatMap((quiet) => (quiet ? [Date.parse(quiet.until)] : []))
  const ended = Math.max(...ends.filter((end) => end <= now.getTime()))
  return ended > 0 && outbox.every((item) => Date.parse(item.at) < ended)
}
