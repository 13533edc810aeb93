import type { CareConfig } from "../config/care-schema.ts"

/** What a provider's plan allows. Connections are not among it: the server itself says how many it takes. */
export type Plan = {
  title: string
  databaseBytes?: number
  egressBytes?: number
  /** What happens at the limit. */
  atLimit: string
  /** What the next plan changes. */
  upgrade: string
}

const gb = 1000 ** 3

/** As the providers' pages said in November 2026. A limit of one's own in `care.limits` wins. */
export const plans: Record<Exclude<CareConfig["plan"], "none">, Plan> = {
  "supabase-free": {
    title: "Supabase Free",
    databaseBytes: 0.5 * gb,
    egressBytes: 5 * gb,
    atLimit: "the database becomes read-only",
    upgrade: "Supabase Pro holds 8 GB and grows by itself, sends 250 GB a month, and never pauses",
  },
  "supabase-pro": {
    title: "Supabase Pro",
    databaseBytes: 8 * gb,
    egressBytes: 250 * gb,
    atLimit:
      "what is above is billed by the GB, where the spend cap is off; with it on, the database becomes read-only",
    upgrade: "switch the spend cap off, or order a larger disk",
  },
  "neon-free": {
    title: "Neon Free",
    databaseBytes: 0.5 * gb,
    egressBytes: 5 * gb,
    atLimit: "writes that need more room fail",
    upgrade: "Neon Launch bills storage by the GB without a limit, and sends 100 GB a month",
  },
  "render-free": {
    title: "Render Free",
    databaseBytes: 1 * gb,
    atLimit: "writes fail; a free database also ends 30 days after it was made",
    upgrade: "a paid instance has the disk that you order, and does not end",
  },
}
