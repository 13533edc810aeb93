import { defineConfig } from "vitest/config"

/** A suite that starts a Postgres and never ends it: what an interrupted test run leaves to its supervisor. */
export default defineConfig({ test: { include: ["test/lib/setup/leaky-suite/*.check.ts"], testTimeout: 60_000 } })
