import { createRequire } from "node:module"
import { z } from "zod"
import { makeTempDir, removeTempDir } from "../../lib/system/temp.ts"
import type { S3Coordinates } from "./s3-server.ts"

type Address = { port: number }
type Server = { run(): Promise<Address>; close(): Promise<void>; httpServer: { closeAllConnections(): void } }
type ServerClass = new (options: Record<string, unknown>) => Server

/** Starts npm's s3rver in this process, on a directory of its own. */
export async function startS3rver(): Promise<{ coordinates: S3Coordinates; stop: () => Promise<void> }> {
  const load = createRequire(import.meta.url)
  const S3rver = load("s3rver") as ServerClass // it has no types
  const directory = await makeTempDir("s3")
  const server = new S3rver({ address: "127.0.0.1", port: 0, silent: true, directory, vhostBuckets: false })
  const { port } = z.object({ port: z.number() }).parse(await server.run())
  return {
    coordinates: {
      kind: "s3rver",
      endpoint: `http://127.0.0.1:${port}`,
      accessKeyId: "S3RVER",
      secretAccessKey: "S3RVER",
      region: "us-east-1",
    },
    async stop() {
      const closed = server.close()
      server.httpServer.closeAllConnections()
      await closed
      await removeTempDir(directory)
    },
  }
}
