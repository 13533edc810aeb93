import { z } from "zod"
import { opsConfigSchema } from "./schema.ts"

/** What is read of a JSON Schema. `takes` is from the `meta` of a field. */
type Node = {
  type?: string | string[]
  description?: string
  takes?: string
  default?: unknown
  enum?: unknown[]
  minimum?: number
  maximum?: number
  properties?: Record<string, Node>
  required?: string[]
  items?: Node
  additionalProperties?: Node | false
  anyOf?: Node[]
}

const head = `# Configuration

Everything that \`ops.config.ts\` may say. A run names all problems of the file at once, each with its path and what would be right,
and ends with exit code 2; unknown settings are problems too. Secrets are never in the file: \`secret("NAME")\` and \`variable("NAME")\` name
what is kept in the repository's settings (Settings > Secrets and variables > Actions) or exported on your machine.

This page is made from the schema in lib/config by \`npm run docs\`.
`

/** The page docs/configuration.md: every setting of the schema, with what it takes and its default. */
export function renderReference(): string {
  const root = z.toJSONSchema(opsConfigSchema, { io: "input", unrepresentable: "any" }) as Node
  return [head, ...Object.entries(root.properties ?? {}).map(([key, node]) => chapter(key, node))].join("\n")
}

function chapter(key: string, node: Node): string {
  const [title, inner] = entryOf(key, node)
  const rows = inner.properties ? settings("", inner) : [row(title, inner, false)]
  const table = ["| Setting | Takes | Default | |", "| --- | --- | --- | --- |", ...rows]
  const about = inner.properties ? `${node.description ?? ""}\n\n` : ""
  return `## \`${title}\`\n\n${about}${table.join("\n")}\n`
}

/** Named entries and lists are shown as one of their items. */
function entryOf(key: string, node: Node): [string, Node] {
  if (node.additionalProperties) return [`${key}.<name>`, node.additionalProperties]
  if (node.items?.properties) return [`${key}[]`, node.items]
  return [key, node]
}

function settings(prefix: string, section: Node): string[] {
  return Object.entries(section.properties ?? {}).flatMap(([key, node]) => {
    const [path, inner] = entryOf(`${prefix}${key}`, node)
    const shown = node.additionalProperties ? { ...inner, description: node.description ?? "" } : node
    const own = row(path, shown, section.required?.includes(key) ?? false)
    return inner.properties ? [own, ...settings(`${path}.`, inner)] : [own]
  })
}

function row(path: string, node: Node, isRequired: boolean): string {
  const cells = [`\`${path}\``, takes(node), isRequired ? "**required**" : defaultOf(node), node.description ?? ""]
  return `| ${cells.map((cell) => escapeCell(cell)).join(" | ")} |`
}

/** A bar ends a cell wherever it stands; `<` begins a tag only outside of code. */
function escapeCell(text: string): string {
  const parts = text.replaceAll("|", "\\|").split("`")
  return parts.map((part, index) => (index % 2 === 0 ? part.replaceAll("<", "&lt;") : part)).join("`")
}

function takes(node: Node): string {
  if (node.takes) return node.takes.replaceAll(/(?:secret|variable)\("\w+"\)/g, "`$&`")
  if (node.enum) return node.enum.map((value) => `\`${JSON.stringify(value)}\``).join(" or ")
  if (Array.isArray(node.type)) return node.type.map((type) => takes({ type })).join(" or ")
  if (node.anyOf) return node.anyOf.map(takes).join(" or ")
  if (node.type === "array") return node.items?.properties ? "a list of" : listOf(node.items ?? {})
  if (node.type === "null") return "`null`"
  if (node.type === "boolean") return "`true` or `false`"
  if (node.type === "object") return "settings"
  if (node.type === "string") return "text"
  const range = node.minimum !== undefined && node.maximum !== undefined ? `, ${node.minimum} to ${node.maximum}` : ""
  return `${node.type === "integer" ? "whole number" : "number"}${range}`
}

function listOf(item: Node): string {
  const one = takes(item)
  return /^[\w ]+$/.test(one)
    ? `a list of ${one.replace(/^an? /, "")}s`
    : `a list, each ${one.replace(/^(?=whole|number)/, "a ")}`
}

function defaultOf(node: Node): string {
  const isPlain = node.default !== undefined && (typeof node.default !== "object" || Array.isArray(node.default))
  if (!isPlain || (Array.isArray(node.default) && node.default.length === 0)) return ""
  return `\`${JSON.stringify(node.default)}\``
}
