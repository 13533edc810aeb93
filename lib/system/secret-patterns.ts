/**
 * Texts that are secret by their looks. The group `secret` is hidden, or the whole match where there is none.
 * Each pattern begins with a literal and never scans the same run of characters from two beginnings, so that the time
 * stays linear on any input; none of them crosses an unescaped double quote, so that JSON stays JSON.
 */
export const secretPatterns: readonly RegExp[] = [
  // scheme://user:password@host, but not http://host:8080?next=a@b
  /:\/\/[^\s:/?#@"\\]*:(?!\d{1,5}[?#])(?<secret>[^\s/"\\]+)@/dg,
  /AGE-SECRET-KEY-(?:PQ-)?1[0-9A-Z]{6,}/dgi,
  /hooks\.slack(?:-gov)?\.com(?:\\?\/|%2F)(?:services|workflows|triggers)(?:\\?\/|%2F)(?<secret>(?:[^\s"'<>|\\]|\\\/)+)/dgi,
  /(?<![A-Z0-9])(?:AKIA|ASIA)[A-Z0-9]{16}(?![A-Z0-9])/dg,
  /secret_?access_?key\\?["']?\s*[:=]\s*\\?["']?(?<secret>[A-Za-z0-9/+=*]{3,})/dgi,
  /session_?token\\?["']?\s*[:=]\s*\\?["']?(?<secret>[A-Za-z0-9/+=]{16,})/dgi,
  /X-Amz-(?:Signature|Security-Token)=(?<secret>[^\s"&\\]+)/dgi,
  /gh[pousr]_[A-Za-z0-9_.-]{20,}/dg,
  /github_pat_[A-Za-z0-9_]{20,}/dg,
  /xox[abeposr]-[A-Za-z0-9-]{10,}/dg,
  // libpq's keyword strings and environment, quoted with ' or not
  /(?:password|passwd)\s*=\s*'(?<secret>(?:[^'"\\]|\\.)+)'/dgi,
  // as SQL writes it: OPTIONS (password '…') of a user mapping, ALTER ROLE … PASSWORD '…'
  /(?:password|passwd)\s+'(?<secret>(?:[^'"\\]|''|\\.)+)'/dgi,
  /(?:password|passwd)\s*=\s*(?!')(?<secret>(?:[^\s"\\]|\\[\\' ])+)/dgi,
  /(?:password|passwd)\\?"\s*:\s*\\?"(?<secret>(?:[^"\\]|\\[^"])+)/dgi,
  /authorization\\?["']?\s*[:=,]\s*\\?["']?(?:(?:basic|bearer|token|digest)\s+(?<secret>[^\s"'\\,;]+)|(?<secret>[^\s"'\\,;]{20,}))/dgi,
  /Bearer\s+(?<secret>[A-Za-z0-9._~+/=-]{20,})/dgi,
  /Basic\s+(?<secret>[A-Za-z0-9+/_-]{16,}={0,2})/dg,
  // JSON web tokens, such as a hosted database's service key
  /(?<![A-Za-z0-9_-])eyJ[A-Za-z0-9_-]{8,}\.eyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{8,}/dg,
  /-----BEGIN [A-Z ]{0,32}PRIVATE KEY-----(?<secret>[^-"]+)/dg,
]

/** Names of fields whose text is hidden whatever it looks like. */
export const secretFieldName =
  /^(?:.*password|passwd|authorization|.*secret_?access_?key|.*session_?token|private_?key)$/i
