import { describeAddress, type PostgresAddress } from "./address.ts"

/** A failed attempt to connect, in words that say what to do. Never the password; the original error is the cause. */
export function explainConnectError(address: PostgresAddress, error: unknown): Error {
  return new Error(`cannot connect to ${describeAddress(address)}: ${remedy(address, error)}`, { cause: error })
}

/** True for errors that say the session is gone, whatever was asked of it. */
export function isConnectionLoss(error: unknown): boolean {
  return (
    lossCodes.includes(codeOf(error)) ||
    /^(Connection terminated|Client (has encountered|was closed))/.test(textOf(error))
  )
}

/** A connection that broke while it was in use. */
export function explainConnectionLoss(address: PostgresAddress, error: unknown): Error {
  return new Error(`the connection to ${describeAddress(address)} was lost`, { cause: error })
}

const lossCodes = ["57P01", "57P02", "57P03", "57P05", "08006", "ECONNRESET", "EPIPE", "ETIMEDOUT"]

function remedy(address: PostgresAddress, error: unknown): string {
  const text = textOf(error)
  const byCode = remedies[codeOf(error)]
  if (byCode) return byCode(address, text)
  const byText = textRemedies.find(([pattern]) => pattern.test(text))
  return byText ? byText[1](address) : `see the message, and correct ${address.name} if it is to blame`
}

type Remedy = (address: PostgresAddress, text: string) => string

const unknownAuthority: Remedy = ({ name }) =>
  `its certificate is signed by an authority that is not trusted here: set caFile to the provider's CA certificate (${name})`

const unreachable: Remedy = ({ host }) =>
  `there is no way from this machine to ${host}: where it has only an IPv6 address, use the provider's IPv4 or pooler address`

const silent: Remedy = ({ connectTimeoutSeconds }) =>
  `no answer within ${connectTimeoutSeconds} s: see whether the database is paused, or a firewall or allow list keeps this machine out`

const remedies: Record<string, Remedy> = {
  "28P01": ({ user, name }) => `wrong password for user ${user}: correct it in ${name}`,
  "28000": ({ user, name }, text) => {
    if (/role .* does not exist/.test(text)) return `there is no user ${user}: correct it in ${name}`
    if (/no encryption|SSL off/.test(text))
      return `the server wants TLS or does not let this user in: remove sslmode=disable from ${name}`
    return `the server does not let user ${user} in from here: see its pg_hba.conf or the provider's allow list`
  },
  "3D000": ({ database, name }) =>
    `there is no database ${database} (upper and lower case count): correct it in ${name}`,
  "42501": ({ user, database }) => `user ${user} may not connect: grant connect on database ${database} to it`,
  "53300": () => "the server has no connection left: end idle ones, raise max_connections, or use the session pooler",
  "57P03": () => "the server is starting up or shutting down: try again in a minute",
  ENOTFOUND: ({ host, name }) =>
    `the host ${host} is unknown: correct it in ${name}, or see whether the project still exists`,
  EAI_AGAIN: ({ host }) => `the name ${host} cannot be looked up now: see whether this machine has a network and DNS`,
  ECONNREFUSED: ({ host, port, name }) =>
    `nothing listens on port ${port} of ${host}: start the server, or correct the port in ${name}`,
  ENOENT: ({ host, port }) => `there is no socket for port ${port} in ${host}: start the server, or correct the folder`,
  EACCES: ({ host }) => `this user may not use the socket in ${host}`,
  ETIMEDOUT: silent,
  ENETUNREACH: unreachable,
  EHOSTUNREACH: unreachable,
  EADDRNOTAVAIL: unreachable,
  ECONNRESET: () => "the other side hung up: see whether a Postgres server listens there and takes TLS as the URL says",
  SELF_SIGNED_CERT_IN_CHAIN: unknownAuthority,
  DEPTH_ZERO_SELF_SIGNED_CERT: unknownAuthority,
  UNABLE_TO_VERIFY_LEAF_SIGNATURE: unknownAuthority,
  UNABLE_TO_GET_ISSUER_CERT: unknownAuthority,
  UNABLE_TO_GET_ISSUER_CERT_LOCALLY: unknownAuthority,
  CERT_SIGNATURE_FAILURE: unknownAuthority,
  CERT_HAS_EXPIRED: () => "the server's certificate has expired: renew it",
  ERR_TLS_CERT_ALTNAME_INVALID: ({ host, name }) =>
    `the server's certificate is not made out to ${host}: use the host name that it names in ${name}`,
}

const textRemedies: [RegExp, (address: PostgresAddress) => string][] = [
  [/timeout expired/, (address) => silent(address, "")],
  [
    /does not support SSL/,
    ({ name }) => `the server offers no TLS: add sslmode=disable to ${name} if the network between is private`,
  ],
  [/password must be/, ({ user, name }) => `the server asks for the password of ${user}: add it to ${name}`],
  [
    /Tenant or user not found|no such user/i,
    ({ name }) => `the pooler does not know this user (Supabase: postgres.<project ref>): correct it in ${name}`,
  ],
  [
    /Connection terminated/,
    () => "the other side hung up: see whether a Postgres server listens there and lets this machine in",
  ],
]

function codeOf(error: unknown): string {
  return error instanceof Error && "code" in error ? String(error.code) : ""
}

function textOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error)
}
