const testPrograms = ["postgres", "pgbouncer", "redis-server", "age", "zstd", "git"]
const vitest = ["node_modules/vitest/vitest.mjs", "run"]

/** What can be run, with the programs it needs and the arguments for Node; further arguments are added at the end. */
export const commands = {
  demo: { needs: ["postgres"], argv: ["--import", "tsx", "examples/demo.ts"] },
  test: { needs: testPrograms, argv: vitest },
  "test:long": { needs: testPrograms, argv: [...vitest, "--config", "test/long/vitest.config.ts"] },
  bench: { needs: ["postgres", "age", "zstd"], argv: ["--import", "tsx", "test/bench/backup.ts"] },
}
