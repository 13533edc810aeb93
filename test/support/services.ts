import { liveEnvironment } from "../../lib/config/environment.ts"
import { type OpsConfigInput, opsConfigSchema } from "../../lib/config/schema.ts"
import type { Log } from "../../lib/core/log.ts"
import { readServices } from "../../lib/service/read-services.ts"
import type { Service } from "../../lib/service/service.ts"

/** Services as a configuration gives them, with the defaults of everything that is not said. */
export function servicesOf(services: OpsConfigInput["services"]): Service[] {
  const ops = opsConfigSchema.parse({ app: { name: "Tests" }, services })
  return readServices(ops, liveEnvironment({}, { root: "/", inActions: false, redactor: { add() {} } }))
}

/** A log that keeps its lines. */
export function keptLog(): Log & { lines: string[] } {
  const lines: string[] = []
  const keep = (message: string) => void lines.push(message)
  return { lines, debug: keep, info: keep, warn: keep, error: keep, progress: () => ({ at() {}, done() {} }) }
}
