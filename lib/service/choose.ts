import { ConfigError } from "../core/config-error.ts"

/** All services, or those that were named. Throws `ConfigError` for a name that no service has, and when there is none at all. */
export function chooseServices<T extends { name: string }>(services: readonly T[], names: readonly string[]): T[] {
  if (services.length === 0)
    throw new ConfigError(
      'no service is configured: fill in services in ops.config.ts, such as web: { url: "https://…" }',
    )
  const known = services.map(({ name }) => name)
  const unknown = names.filter((name) => !known.includes(name))
  if (unknown.length > 0)
    throw new ConfigError(
      unknown.map(
        (name) => `--service ${name}: no service of that name is in ops.config.ts (there is ${known.join(", ")})`,
      ),
    )
  return names.length === 0 ? [...services] : services.filter(({ name }) => names.includes(name))
}
