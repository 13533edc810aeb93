/**
 * Where `npm run demo`, `npm test` and their relatives begin: makes this machine ready, then runs the command under
 * the Node that package.json asks for and leaves nothing of it behind. It runs before any package is installed, on
 * Node 20 as well, and so uses built-in modules only.
 */
import path from "node:path"
import { fileURLToPath } from "node:url"
import { commands } from "./commands.mjs"
import { installPackages, nodeProgram } from "./packages.mjs"
import { preparePrograms } from "./programs.mjs"
import { SetupError, say } from "./say.mjs"
import { supervise } from "./supervise.mjs"

const root = path.resolve(path.dirname(fileURLToPath(import.meta.url)), "../..")

/** Returns the exit code: the command's own, 2 when this machine cannot be made ready, 128 + n after a signal. */
async function prepare([name, ...args]) {
  const command = Object.hasOwn(commands, name ?? "") ? commands[name] : undefined
  if (!command) throw new SetupError(`${name ?? "no command"} is unknown: use ${Object.keys(commands).join(", ")}`)
  await installPackages(root)
  await preparePrograms(command.needs, process.env)
  const node = nodeProgram(root)
  const bin = path.join(root, "node_modules/.bin")
  const env = { ...process.env, PATH: [bin, process.env.PATH].join(path.delimiter) }
  return await supervise(node, [...command.argv, ...args], { cwd: root, env })
}

try {
  process.exitCode = await prepare(process.argv.slice(2))
} catch (error) {
  if (!(error instanceof SetupError)) throw error
  say(error.message)
  process.exitCode = 2
}
