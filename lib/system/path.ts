import { delimiter } from "node:path"

/** The folders in which this machine looks for programs, in order. */
export function pathDirectories(): string[] {
  return (process.env.PATH ?? "").split(delimiter).filter((dir) => dir.startsWith("/"))
}
