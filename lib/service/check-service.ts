import type { CheckResult, Surroundings } from "./check.ts"
import { judge } from "./judge.ts"
import type { Probe, Service } from "./service.ts"

/**
 * Looks at a service once, and judges what it saw by the service's limits. Everything that the service or the network can do is a
 * result; rejects with the signal's reason when the signal fires, and with a defect of our own (a `TypeError`), which must not
 * look like an outage. `around.timeoutMs` is for the whole look: `timeoutFor(service)`. Of what is not an http address, each kind
 * is loaded when it is first needed.
 */
export async function checkService(service: Service, around: Surroundings): Promise<CheckResult> {
  around.signal.throwIfAborted()
  return judge(service, await check(service.probe, around))
}

async function check(probe: Probe, around: Surroundings): Promise<CheckResult> {
  switch (probe.kind) {
    case "http":
      return (await loadHttp()).checkHttp(probe, around)
    case "tcp":
      return (await import("./tcp-check.ts")).checkTcp(probe, around)
    case "dns":
      return (await import("./dns-check.ts")).checkDns(probe, around)
    case "tls":
      return (await import("./tls-check.ts")).checkTls(probe, around)
    case "domain":
      return (await import("./domain-check.ts")).checkDomain(probe, around)
    case "postgres":
      return (await import("./postgres-check.ts")).checkPostgres(probe, around)
    case "redis":
      return (await import("./redis-check.ts")).checkRedis(probe, around)
  }
}

let http: Promise<typeof import("./http-check.ts")> | undefined

/** Once: most services are of this kind, and asking the loader again for each takes a tenth of the whole look. */
function loadHttp(): Promise<typeof import("./http-check.ts")> {
  http ??= import("./http-check.ts")
  return http
}
