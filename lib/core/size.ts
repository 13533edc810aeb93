const units = ["B", "kB", "MB", "GB", "TB", "PB"]

/** A number of bytes as a person reads it, in powers of 1000: `812 B`, `4.2 MB`, `1.3 GB`. */
export function formatBytes(bytes: number): string {
  let value = bytes
  let unit = 0
  while (value >= 999.5 && unit < units.length - 1) {
    value /= 1000
    unit++
  }
  return `${unit === 0 || value >= 100 ? Math.round(value) : value.toFixed(1)} ${units[unit]}`
}

/** A whole number with thin grouping, the same in every locale: `1,234,567`. */
export function formatCount(count: number | bigint): string {
  return String(count).replace(/\B(?=(\d{3})+(?!\d))/g, ",")
}

/** A number of things: `1 table`, `1,204 tables`. */
export function formatCounted(count: number, noun: string): string {
  return `${formatCount(count)} ${noun}${count === 1 ? "" : "s"}`
}
