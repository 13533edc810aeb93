/** Any text as the content of one table cell: it opens no markup, mentions nobody and links to no issue. */
export function escapeCell(text: string): string {
  return text
    .replace(/\s+/g, " ")
    .trim()
    .replaceAll("&", "&amp;")
    .replaceAll("<", "&lt;")
    .replaceAll(">", "&gt;")
    .replace(/[\\`*_[\]|~!]/g, "\\$&")
    .replace(/[@#](?=\w)/g, (sign) => `${sign}<!-- -->`)
}

/** Markdown cut at the end of a line so that it has at most `maxBytes` in UTF-8; a last line says so. */
export function truncateMarkdown(markdown: string, maxBytes: number): string {
  const bytes = new TextEncoder().encode(markdown)
  if (bytes.length <= maxBytes) return markdown
  const note = "\n\n_The rest was left out: the page was too long._\n"
  const kept = bytes.subarray(0, Math.max(0, maxBytes - note.length))
  const lastLine = kept.lastIndexOf(0x0a)
  return lastLine < 0 ? note : new TextDecoder().decode(kept.subarray(0, lastLine)) + note
}
