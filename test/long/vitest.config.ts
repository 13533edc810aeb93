import { defineConfig } from "vitest/config"
import everyday from "../../vitest.config.ts"

const minute = 60_000

/** What takes minutes: large databases, waits at their real length. Run by `npm run test:long`. */
export default defineConfig({
  test: {
    ...everyday.test,
    include: ["test/long/**/*.test.ts"],
    exclude: [],
    testTimeout: 20 * minute,
    hookTimeout: 5 * minute,
  },
})
