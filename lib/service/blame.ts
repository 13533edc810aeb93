import { isFailure, type Look } from "./look.ts"
import { providerName } from "./provider-pages.ts"
import { askProvider, type ProviderTrouble } from "./provider-status.ts"
import { rootCauses } from "./root-cause.ts"
import type { Watch } from "./watch.ts"

/** Asks the status page of each provider under which something fails. What could not be asked is in the notes. */
export async function askProviders(
  looks: readonly Look[],
  timeoutMs: number,
  watch: Watch,
): Promise<{ troubles: ProviderTrouble[]; notes: string[] }> {
  const urls = new Set(looks.filter(isFailure).flatMap((look) => look.service.provider ?? []))
  const answers = await Promise.all(
    [...urls].map((url) => askProvider(providerName(url), url, { timeoutMs, signal: watch.runSignal })),
  )
  return {
    troubles: answers.flatMap((answer) => answer.trouble ?? []),
    notes: answers.flatMap((answer) => answer.note ?? []),
  }
}

/** Looks with what is at fault: the failing service at the bottom, or the provider under it that says that it has trouble. */
export function withCauses(looks: readonly Look[], providers: readonly ProviderTrouble[]): Look[] {
  const bottoms = rootCauses(
    looks.map(({ service, result }) => ({ name: service.name, dependsOn: service.dependsOn, outcome: result.outcome })),
  )
  const byName = new Map(looks.map((look) => [look.service.name, look]))
  const troubled = new Set(providers.map(({ provider }) => provider))
  const providerOf = (look: Look | undefined) => {
    const name = look && isFailure(look) && look.service.provider && providerName(look.service.provider)
    return name && troubled.has(name) ? `provider/${name}` : undefined
  }
  return looks.map((look) => {
    const bottom = bottoms.get(look.service.name)
    const cause = bottom ? (providerOf(byName.get(bottom)) ?? `service/${bottom}`) : providerOf(look)
    return cause ? { ...look, cause } : look
  })
}
