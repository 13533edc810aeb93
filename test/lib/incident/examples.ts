import { type Incident, incidentSchema } from "../../../lib/incident/incident.ts"
import type { Scene } from "../../../lib/incident/messages.ts"

/** An incident as it is after 43 minutes; what a test is about is changed. */
export function incidentOf(changes: Record<string, unknown> = {}): Incident {
  return incidentSchema.parse({
    schema: 1,
    subject: "service/api",
    key: "service/api@2026-03-01T03:17Z",
    severity: "P1",
    outcome: "fail",
    class: "status",
    detail: "api.example.com answered 503, expected 200",
    runbook: "service-status",
    detectedAt: "2026-03-01T03:17:00.000Z",
    openedAt: "2026-03-01T03:17:40.000Z",
    lastBadAt: "2026-03-01T03:47:00.000Z",
    state: "firing",
    muted: ["service/web", "service/worker"],
    about: { lastGood: "2026-03-01T02:47:00.000Z", runUrl: "https://github.com/acme/ops/actions/runs/42" },
    ...changes,
  })
}

export const closed = {
  state: "closed",
  closedAt: "2026-03-01T04:00:00.000Z",
  lastGoodAt: "2026-03-01T04:00:00.000Z",
}

export const scene: Scene = {
  app: { name: "PrepPilot", environment: "production" },
  now: new Date("2026-03-01T04:00:00Z"),
  runUrl: "https://github.com/acme/ops/actions/runs/43",
  runbookAddress: (name) => `https://github.com/acme/ops/blob/main/docs/runbooks/${name}.md`,
}

export const url = "https://github.com/acme/ops/issues/7"
