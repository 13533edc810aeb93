import { createServer, type ServerResponse } from "node:http"
import type { AddressInfo } from "node:net"

export type RdapServer = AsyncDisposable & {
  /** Where the registries are known, as https://rdap.org is. */
  url: string
  /** Paths that were asked, in order. */
  requests: string[]
}

/** What the registry behind it answers for a domain. */
export type RdapAnswer = { status?: number; body?: unknown; text?: string } | "silent" | "hangs up"

/**
 * The list of registries and one registry in one server: `/domain/X` leads to `/registry/domain/X`, as rdap.org does by 302. A domain
 * that is not in `domains` is of an ending without RDAP: 404 at once; one that is `null` is not registered: 404 of the registry.
 */
export async function startRdapServer(domains: Record<string, RdapAnswer | null>): Promise<RdapServer> {
  const requests: string[] = []
  const server = createServer((request, response) => {
    const path = request.url ?? "/"
    requests.push(path)
    const [, registry, domain = ""] = /^(\/registry)?\/domain\/(.*)$/.exec(path) ?? []
    const answer = domains[decodeURIComponent(domain)]
    if (answer === undefined) return void response.writeHead(404).end()
    if (!registry) return void response.writeHead(302, { location: `/registry/domain/${domain}` }).end()
    tell(response, answer)
  })
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve))
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    requests,
    async [Symbol.asyncDispose]() {
      server.closeAllConnections()
      await new Promise((resolve) => server.close(resolve))
    },
  }
}

function tell(response: ServerResponse, answer: RdapAnswer | null): void {
  if (answer === "silent") return
  if (answer === "hangs up") return void response.destroy()
  if (answer === null) return void response.writeHead(404, rdap).end('{"errorCode":404,"title":"Not Found"}')
  response.writeHead(answer.status ?? 200, rdap).end(answer.text ?? JSON.stringify(answer.body))
}

const rdap = { "content-type": "application/rdap+json" }

/** An answer in the shape that Verisign gives for a .com domain; what does not matter here is left out. */
export function registered(
  domain: string,
  expiration: string | undefined,
  status = ["client transfer prohibited"],
): RdapAnswer {
  const events = [
    { eventAction: "registration", eventDate: "1997-09-15T04:00:00Z" },
    ...(expiration === undefined ? [] : [{ eventAction: "expiration", eventDate: expiration }]),
    { eventAction: "last changed", eventDate: "2019-09-09T15:39:04Z" },
    { eventAction: "last update of RDAP database", eventDate: "2026-03-01T08:49:21Z" },
  ]
  return {
    body: {
      objectClassName: "domain",
      handle: "2138514_DOMAIN_COM-VRSN",
      ldhName: domain.toUpperCase(),
      links: [
        { value: `https://rdap.verisign.com/com/v1/domain/${domain}`, rel: "self", type: "application/rdap+json" },
      ],
      status,
      entities: [{ objectClassName: "entity", handle: "292", roles: ["registrar"] }],
      events,
      secureDNS: { delegationSigned: false },
      nameservers: [{ objectClassName: "nameserver", ldhName: "NS1.EXAMPLE.COM" }],
      rdapConformance: ["rdap_level_0", "icann_rdap_technical_implementation_guide_0"],
    },
  }
}
