import type { CheckResult, Surroundings } from "../../lib/service/check.ts"
import { checkHttp } from "../../lib/service/http-check.ts"
import type { HttpProbe } from "../../lib/service/service.ts"

export type ProbeChange = Partial<Omit<HttpProbe, "expect">> & { expect?: Partial<HttpProbe["expect"]> }

/** The probe of a service of which only its address is configured, with changes. */
export function httpProbe(url: string, { expect, ...change }: ProbeChange = {}): HttpProbe {
  return {
    kind: "http",
    url,
    method: "GET",
    headers: {},
    redirects: 5,
    maxBytes: 1_048_576,
    ...change,
    expect: { json: [], headers: [], format: "any", ...expect },
  }
}

/** Looks once, with two seconds of time. */
export function look(url: string, change: ProbeChange = {}, around: Partial<Surroundings> = {}): Promise<CheckResult> {
  const { signal } = new AbortController()
  return checkHttp(httpProbe(url, change), { now: new Date(), timeoutMs: 2000, signal, ...around })
}
