const zeroWidthSpace = "\u200b"

/**
 * Any text made safe inside Slack's markup: `& < >` escaped, and nothing in it rings a phone or opens a code block
 * (`<!channel>`, `<@U…>`, `@here`, three backticks).
 */
export function escapeSlack(text: string): string {
  return text
    .replaceAll("&", "&amp;")
    .replaceAll("<", "&lt;")
    .replaceAll(">", "&gt;")
    .replace(/@(?=here|channel|everyone|group)/gi, `@${zeroWidthSpace}`)
    .replace(/`(?=`)/g, `\`${zeroWidthSpace}`)
}

/** Any text as a code span of one line and at most `max` characters. */
export function codeSpan(text: string, max: number): string {
  const line = text.replaceAll("`", "'").replace(/\s+/g, " ").trim()
  return `\`${truncateSlack(escapeSlack(line === "" ? "(no text)" : line), max - 2)}\``
}

/** A link for an http or https address, else the label alone. */
export function slackLink(url: string, label: string): string {
  const parsed = URL.parse(url)
  if (parsed?.protocol !== "https:" && parsed?.protocol !== "http:") return escapeSlack(label)
  const target = parsed.href
    .replaceAll("|", "%7C")
    .replaceAll("<", "%3C")
    .replaceAll(">", "%3E")
    .replaceAll("&", "&amp;")
  return `<${target}|${escapeSlack(label).replaceAll("|", "/")}>`
}

/**
 * Markup cut to at most `max` UTF-16 units (which are never fewer than characters) with `…` at the end.
 * Never cuts a character, an entity such as `&amp;`, or a link in two.
 */
export function truncateSlack(markup: string, max: number): string {
  if (markup.length <= max) return markup
  let cut = markup.slice(0, max - 1)
  if (/[\ud800-\udbff]$/.test(cut)) cut = cut.slice(0, -1)
  const entity = cut.lastIndexOf("&")
  if (entity >= 0 && entity > cut.length - 5 && !cut.includes(";", entity)) cut = cut.slice(0, entity)
  const link = cut.lastIndexOf("<")
  if (link >= 0 && !cut.includes(">", link)) cut = cut.slice(0, link)
  return `${cut}…`
}
