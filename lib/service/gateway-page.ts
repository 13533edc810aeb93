import type { FailureClass } from "./check.ts"

/** An answer as it came; names of headers in small letters. */
export type Answer = { status: number; headers: Readonly<Record<string, string>>; body: string }

/** An answer that the host gave in the app's place. */
export type Gateway = {
  /** Whose page it is. */
  name: string
  /** What it says, and what to do about it. */
  problem: string
  class: FailureClass
  /** It is the sign of an app that wakes up: a later answer may be the app's own. */
  isWaking: boolean
}

/** Tells the pages of hosts from answers of the app; `undefined` when nothing speaks against the app itself. */
export function recognizeGateway(answer: Answer): Gateway | undefined {
  for (const recognize of [supabase, render, vercel, cloudflare, heroku, railway, fly, anyGateway]) {
    const gateway = recognize(answer)
    if (gateway) return gateway
  }
  return undefined
}

type Recognize = (answer: Answer) => Gateway | undefined

const supabase: Recognize = ({ status, headers }) => {
  const isSupabase = "sb-gateway-version" in headers || "sb-project-ref" in headers || "sb-request-id" in headers
  if (status === 540) {
    return at(
      "Supabase",
      "paused",
      "the project is paused (540): restore it in the dashboard, within 90 days of the pause",
    )
  }
  if (status === 402 && isSupabase) {
    return at("Supabase", "over-quota", "the project is over its quota (402): see Usage in the dashboard, or upgrade")
  }
  if (status === 401 && isSupabase) {
    return at(
      "Supabase",
      "auth",
      "the gateway refused the key (401), which proves nothing about the database: correct the key",
    )
  }
  return undefined
}

const render: Recognize = ({ status, headers, body }) => {
  const routing = headers["x-render-routing"]
  if (routing?.startsWith("hibernate") || /service waking up/i.test(body)) {
    return at("Render", "status", `its page says that the service is waking up (${status})`, true)
  }
  if (/service (has been )?suspended/i.test(body) && ("rndr-id" in headers || routing !== undefined)) {
    return at(
      "Render",
      "over-quota",
      "the service is suspended: its hours of this month are used up, or somebody suspended it",
    )
  }
  if (routing !== undefined && !("x-render-origin-server" in headers)) {
    return at(
      "Render",
      "status",
      `its router found no running instance (${routing}): see the service's events and logs`,
      true,
    )
  }
  return undefined
}

const vercel: Recognize = ({ status, headers, body }) => {
  const error = headers["x-vercel-error"]
  if (error !== undefined)
    return at("Vercel", "status", `it answered ${status} ${error} in the app's place: see the deployment`)
  if (
    status === 401 &&
    /vercel\.com\/sso|Vercel Authentication|_vercel_sso_nonce/i.test(body + (headers["set-cookie"] ?? ""))
  ) {
    return at(
      "Vercel",
      "auth",
      "Deployment Protection asks for a login: ping the production domain, or take the protection away",
    )
  }
  return undefined
}

const cloudflare: Recognize = ({ status, headers, body }) => {
  if (headers["cf-mitigated"] === "challenge" || /<title>Just a moment\.\.\.<\/title>/.test(body)) {
    return at(
      "Cloudflare",
      "status",
      "it asks for proof of a human: let the path of the ping through in its security rules",
    )
  }
  if ((status >= 520 && status <= 527) || status === 530) {
    return at("Cloudflare", "status", `it could not reach the app (${status})`, true)
  }
  return undefined
}

const heroku: Recognize = ({ status, body }) =>
  /herokucdn\.com\/error-pages/.test(body)
    ? at("Heroku", "status", `its error page came (${status}): see the app's logs`, status === 503)
    : undefined

const railway: Recognize = ({ status, headers }) =>
  headers["x-railway-fallback"] === "true"
    ? at("Railway", "status", `its fallback page came (${status}): nothing is deployed at this address`)
    : undefined

const fly: Recognize = ({ status, headers, body }) =>
  headers.server?.startsWith("Fly/") && [502, 503, 504].includes(status) && body.trim().length < 100
    ? at("Fly", "status", `its proxy got no answer from a machine (${status})`, true)
    : undefined

const anyGateway: Recognize = ({ status, body }) => {
  const isBare =
    body.trim() === "" ||
    /bad gateway|gateway time-?out|service (temporarily )?unavailable|no healthy upstream/i.test(body)
  return [502, 503, 504].includes(status) && isBare
    ? at("a gateway", "status", `a gateway got no answer from the app (${status})`, true)
    : undefined
}

function at(name: string, failure: FailureClass, problem: string, isWaking = false): Gateway {
  return { name, class: failure, problem, isWaking }
}
