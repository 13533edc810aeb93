import type { ServiceConfig } from "../config/service-schema.ts"

const summaryPath = "/api/v2/summary.json"

/** Statuspage's own path; the pages of other makers (incident.io) answer it in the same shape. */
const pages: Record<string, string> = {
  supabase: "https://status.supabase.com",
  vercel: "https://www.vercel-status.com",
  render: "https://status.render.com",
  neon: "https://neonstatus.com",
  cloudflare: "https://www.cloudflarestatus.com",
  github: "https://www.githubstatus.com",
  fly: "https://status.flyio.net",
  openai: "https://status.openai.com",
  stripe: "https://www.stripestatus.com",
  twilio: "https://status.twilio.com",
}

/** The address of the summary that a provider's status page gives: of a name, or of the address of the page or the summary. */
export function statusPageUrl(provider: NonNullable<ServiceConfig["provider"]>): string {
  const url = new URL(pages[provider] ?? provider)
  if (url.pathname === "/") url.pathname = summaryPath
  return url.href
}

/** What a provider is called in messages: its name here, or the host of the address that was given for it. */
export function providerName(url: string): string {
  return Object.keys(pages).find((name) => statusPageUrl(name as "supabase") === url) ?? new URL(url).host
}
