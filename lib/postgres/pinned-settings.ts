/** Everything that decides how values are written as text, pinned: the same on another day, machine and server. */
export const pinnedSettings = {
  DateStyle: "ISO, YMD",
  TimeZone: "UTC",
  IntervalStyle: "postgres",
  extra_float_digits: "3",
  bytea_output: "hex",
  lc_monetary: "C",
  xmloption: "content",
  row_security: "off",
  search_path: "",
} as const
