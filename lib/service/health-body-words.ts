/** From good to bad; `unknown` is a word that says nothing of health. */
export type Verdict = "ok" | "degraded" | "failing" | "unknown"

const words: Record<Exclude<Verdict, "unknown">, readonly string[]> = {
  ok: [
    ...["ok", "okay", "up", "healthy", "pass", "passed", "passing", "success", "green", "operational", "available"],
    ...["alive", "live", "ready", "running", "online", "connected", "reachable", "good", "normal", "serving", "pong"],
  ],
  degraded: [
    ...["degraded", "degraded_performance", "warn", "warning", "yellow", "partial", "partially_degraded", "impaired"],
    ...["partial_outage", "slow", "unstable", "maintenance", "under_maintenance", "minor"],
  ],
  failing: [
    ...["down", "fail", "failed", "failing", "failure", "error", "errored", "unhealthy", "critical", "red", "outage"],
    ...["out_of_service", "major_outage", "major", "unavailable", "offline", "dead", "disconnected", "unreachable"],
    ...["not_serving", "not_ready", "not_ok", "nok", "ko", "timeout", "timed_out", "bad", "broken"],
  ],
}

const verdicts = new Map<string, Verdict>(
  (["ok", "degraded", "failing"] as const).flatMap((verdict) => words[verdict].map((word) => [word, verdict] as const)),
)

/** What a status word such as `UP`, `Degraded` or `major outage` says; `unknown` for every other text. */
export function verdictOfWord(text: string): Verdict {
  return (
    verdicts.get(
      text
        .trim()
        .toLowerCase()
        .replaceAll(/[\s-]+/g, "_"),
    ) ?? "unknown"
  )
}

/** What the text of a component says: a status word, alone or before its reason (`error: connection refused`). */
export function verdictOfText(text: string): { verdict: Verdict; words?: string } {
  const alone = verdictOfWord(text)
  const [, word, rest] = /^\s*([a-z_]{2,20})\s*[:,;(–-]\s*(\S.*)$/is.exec(text.slice(0, 2000)) ?? []
  if (alone !== "unknown" || word === undefined) return { verdict: alone }
  const verdict = verdictOfWord(word)
  return verdict === "unknown" ? { verdict } : { verdict, words: rest }
}

const rank: Record<Verdict, number> = { unknown: 0, ok: 1, degraded: 2, failing: 3 }

export function isWorseVerdict(a: Verdict, b: Verdict): boolean {
  return rank[a] > rank[b]
}
