import { ConfigError } from "../core/config-error.ts"

/** A `postgres://` URL taken apart and decoded, as libpq reads it. Parameters of the query win over the parts before it. */
export type PostgresUrl = {
  user: string
  password: string
  host: string
  port: string
  database: string
  parameters: Map<string, string>
}

const parts = /^(?:([^@/?]*)@)?([^@/?]*)(?:\/([^?]*))?(?:\?(.*))?$/
const shape = "postgres://user:password@host:5432/database"

/** Throws `ConfigError` that names `name` and never quotes what might be a part of the password. */
export function splitPostgresUrl(text: string, name: string): PostgresUrl {
  const scheme = /^\s*postgres(?:ql)?:\/\//.exec(text)
  if (!scheme) throw new ConfigError(`${name} is no Postgres URL: set it to ${shape}`)
  const rest = text.slice(scheme[0].length).trim()
  if (rest.split(/[/?]/)[0]?.includes("@") === false && rest.split("?")[0]?.includes("@")) throw unescaped(name)
  const match = parts.exec(rest)
  if (!match) throw unescaped(name)
  const [, login = "", place = "", database = "", query = ""] = match
  const colon = login.indexOf(":")
  const parameters = parseQuery(query, name)
  const { host, port } = splitPlace(place, name)
  const take = (parameter: string, fallback: string) => {
    const value = parameters.get(parameter) ?? fallback
    parameters.delete(parameter)
    return value
  }
  return {
    user: take("user", decode(colon < 0 ? login : login.slice(0, colon), name)),
    password: take("password", colon < 0 ? "" : decode(login.slice(colon + 1), name)),
    host: take("host", host),
    port: take("port", port),
    database: take("dbname", decode(database, name)),
    parameters,
  }
}

function splitPlace(place: string, name: string): { host: string; port: string } {
  const literal = /^\[([0-9a-fA-F:.%]+)\](?::(.*))?$/.exec(place)
  if (literal) return { host: decode(literal[1] ?? "", name), port: literal[2] ?? "" }
  if (place.includes(",")) return { host: decode(place, name), port: "" }
  const [host = "", port = "", ...more] = place.split(":")
  if (more.length > 0)
    throw new ConfigError(`${name} has more than one ":" in its host: write an IPv6 address as [::1]:5432`)
  return { host: decode(host, name), port }
}

function parseQuery(query: string, name: string): Map<string, string> {
  const parameters = new Map<string, string>()
  for (const item of query.split("&").filter(Boolean)) {
    const [, key, value] = /^([a-z_]+)=(.*)$/i.exec(item) ?? []
    if (key === undefined || value === undefined) throw unescaped(name)
    if (parameters.has(key)) throw new ConfigError(`${name} gives the parameter ${key} twice: keep one`)
    parameters.set(key, decode(value, name))
  }
  return parameters
}

function decode(text: string, name: string): string {
  const problem = new ConfigError(`${name} has a "%" that encodes nothing: write a literal "%" as %25`)
  let decoded: string
  try {
    decoded = decodeURIComponent(text)
  } catch (error) {
    if (error instanceof URIError) throw problem
    throw error
  }
  if (decoded.includes("\0"))
    throw new ConfigError(`${name} has an encoded zero byte (%00), which Postgres cannot take: remove it`)
  return decoded
}

function unescaped(name: string): ConfigError {
  return new ConfigError(
    `${name} cannot be taken apart: in user name and password write "@" as %40, "/" as %2F, ":" as %3A, "?" as %3F, "&" as %26; the whole is ${shape}`,
  )
}
