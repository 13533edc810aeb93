import { startWebServer, type WebAnswer } from "./web-server.ts"

/** What an Atlassian Statuspage answers at /api/v2/summary.json, with the fields that such pages have. */
export type StatuspageMood = keyof typeof summaries | "not json" | "error" | "hang"

export type StatuspageServer = AsyncDisposable & {
  /** Address of the summary. */
  url: string
  /** `host:port`, as findings name a page that has no name of its own. */
  host: string
  answer(mood: StatuspageMood): void
  /** How often it was asked. */
  requests(): number
}

export async function startStatuspageServer(): Promise<StatuspageServer> {
  const server = await startWebServer()
  const path = "/api/v2/summary.json"
  const answer = (mood: StatuspageMood) => server.setRoute(path, answerFor(mood))
  answer("well")
  return {
    url: `${server.url}${path}`,
    host: `127.0.0.1:${server.port}`,
    answer,
    requests: () => server.requests().length,
    [Symbol.asyncDispose]: () => server.close(),
  }
}

function answerFor(mood: StatuspageMood): WebAnswer {
  if (mood === "hang") return { delayMs: 60_000 }
  if (mood === "error") return { status: 503, body: "upstream connect error" }
  if (mood === "not json")
    return { headers: { "content-type": "text/html" }, body: "<!doctype html><title>Status</title>" }
  return { body: summaries[mood] }
}

const page = {
  id: "h4k1m7d2q9xz",
  name: "Harbour",
  url: "https://status.harbour.example",
  time_zone: "Etc/UTC",
  updated_at: "2026-11-20T03:31:10.412Z",
}

function component(name: string, status: string) {
  return {
    ...{ id: `c-${name.toLowerCase()}`, name, status, page_id: page.id, position: 1, description: null },
    ...{ created_at: "2021-02-11T09:30:00.000Z", updated_at: "2026-11-20T03:12:44.120Z", start_date: "2021-02-11" },
    ...{ showcase: true, group: false, group_id: null, only_show_if_degraded: false },
  }
}

function event(name: string, status: string, impact: string) {
  const at = "2026-11-20T03:12:44.120Z"
  return {
    ...{ id: `i-${status}`, name, status, impact, page_id: page.id, shortlink: "https://stspg.example/i1" },
    ...{ created_at: at, updated_at: at, started_at: at, monitoring_at: null, resolved_at: null },
    incident_updates: [{ id: "u1", status, body: "We look into it.", incident_id: `i-${status}`, created_at: at }],
    components: [component("Database", "major_outage")],
  }
}

const planned = { scheduled_for: "2026-11-20T03:00:00.000Z", scheduled_until: "2026-11-20T05:00:00.000Z" }
const healthy = { status: { indicator: "none", description: "All Systems Operational" } }

/** By what the page says. */
export const summaries = {
  well: {
    page,
    components: [component("Database", "operational")],
    incidents: [],
    scheduled_maintenances: [],
    ...healthy,
  },
  "several incidents": {
    page,
    components: [component("Database", "major_outage"), component("Auth", "degraded_performance")],
    incidents: [
      event("Slow dashboard", "monitoring", "minor"),
      event("Connections to databases in eu-west-2 fail", "identified", "critical"),
    ],
    scheduled_maintenances: [],
    status: { indicator: "critical", description: "Major System Outage" },
  },
  "no incident yet": {
    page,
    components: [component("Database", "partial_outage")],
    incidents: [],
    scheduled_maintenances: [],
    status: { indicator: "major", description: "Partial System Outage" },
  },
  "a resolved incident": {
    page,
    components: [component("Database", "operational")],
    incidents: [event("Slow dashboard", "resolved", "minor")],
    scheduled_maintenances: [{ ...event("Upgrade of the proxies", "scheduled", "maintenance"), ...planned }],
    ...healthy,
  },
  "work in progress": {
    page,
    components: [component("Database", "under_maintenance")],
    incidents: [],
    scheduled_maintenances: [{ ...event("Upgrade of the proxies", "in_progress", "maintenance"), ...planned }],
    status: { indicator: "maintenance", description: "Service Under Maintenance" },
  },
}
