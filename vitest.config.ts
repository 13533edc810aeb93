import { readFile } from "node:fs/promises"
import { defineConfig } from "vitest/config"

export default defineConfig({
  plugins: [
    {
      // Their maps point to sources that are not published, and every file would warn about it.
      name: "packages-without-source-maps",
      enforce: "pre",
      async load(id) {
        if (!/node_modules\/@actions\/.*\.js$/.test(id)) return undefined
        return { code: await readFile(id, "utf8"), map: null }
      },
    },
  ],
  test: {
    include: ["test/**/*.test.ts"],
    exclude: ["test/long/**"],
    globalSetup: ["test/support/shared-servers.ts"],
    maxWorkers: 3, // half of the time is waiting
    testTimeout: 60_000,
    hookTimeout: 120_000,
    server: { deps: { inline: [/@actions\//] } },
  },
})
