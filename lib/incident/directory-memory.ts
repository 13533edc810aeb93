import { randomUUID } from "node:crypto"
import { appendFile, mkdir, open as openFile, readdir, readFile, rename, rm, stat } from "node:fs/promises"
import { join } from "node:path"
import { fileURLToPath, pathToFileURL } from "node:url"
import { ConfigError } from "../core/config-error.ts"
import { errorText } from "../core/error-text.ts"
import type { Log } from "../core/log.ts"
import { withDirectoryLock } from "./directory-lock.ts"
import type { Incident, IncidentComment, IncidentMemory, IncidentText, StoredIncident } from "./incident.ts"
import {
  type IncidentFile,
  maxFileLength,
  parseFile,
  parseFileCommands,
  renderFile,
  renderFileComment,
} from "./incident-file.ts"
import { fitTitle } from "./machine-block.ts"
import { mergeIncident } from "./merge.ts"

/**
 * Incidents as Markdown files in a directory, `file:///absolute/path`, made with the first one. A person closes one by its line
 * `State: closed` and writes commands, one a line, into `<name>.comments.md` beside it. Several processes may write at once.
 */
export function directoryMemory(url: string, log: Log): IncidentMemory {
  const dir = directoryOf(url)
  const name = `file://${dir}`
  const bases = new WeakMap<StoredIncident, Incident>()
  const pathOf = (id: string) => join(dir, `${id}.md`)
  const commentsOf = (id: string) => join(dir, `${id}.comments.md`)

  function remember(id: string, { block, isOpen }: IncidentFile): StoredIncident {
    const { incident } = block
    const isClosedByPerson = incident.state !== "closed" && !isOpen
    const stored = { incident, id, url: pathToFileURL(pathOf(id)).href, isClosedByPerson }
    bases.set(stored, structuredClone(incident))
    return stored
  }

  async function readAll(): Promise<StoredIncident[]> {
    const entries = await readdir(dir, { withFileTypes: true }).catch(unlessMissing)
    const files = (entries ?? []).filter((entry) => entry.isFile() && /^(?!\.).*(?<!\.comments)\.md$/.test(entry.name))
    const found: StoredIncident[] = []
    for (const id of files.map((file) => file.name.slice(0, -".md".length)).sort()) {
      const parsed = await readOne(pathOf(id)).catch((error: unknown) => errorText(error))
      if (typeof parsed === "object") found.push(remember(id, parsed))
      else
        log.warn(`${id}.md of ${name} is left out: ${parsed ?? "it has no valid machine block"}: repair or remove it`)
    }
    return found.sort((left, right) => Date.parse(left.incident.openedAt) - Date.parse(right.incident.openedAt))
  }

  async function list(closedSince: Date): Promise<StoredIncident[]> {
    const taken = new Set<string>()
    const all = await inWords("list", readAll())
    const shown: StoredIncident[] = []
    for (const stored of all) {
      const { state, subject, closedAt, lastBadAt } = stored.incident
      const isOver = state === "closed"
      if (isOver && new Date(closedAt ?? lastBadAt) < closedSince) continue
      if (!isOver && taken.has(subject)) log.warn(`${stored.id} of ${name} is left out: it is a copy for ${subject}`)
      if (isOver || !taken.has(subject)) shown.push(stored)
      if (!isOver) taken.add(subject)
    }
    return shown
  }

  async function open(incident: Incident, text: IncidentText): Promise<StoredIncident> {
    const write = async () => {
      const all = await readAll()
      const there = all.find((other) => other.incident.subject === incident.subject && isOpen(other))
      if (there) throw new Error(`${incident.subject} has an open incident already, ${there.id}: list again`)
      const id = freeName(incident, new Set(await readdir(dir)))
      const block = { title: fitTitle(text.title), incident }
      const file: IncidentFile = { title: block.title, isOpen: true, before: "", text: text.body, block, after: "\n" }
      return remember(id, await replace(pathOf(id), file))
    }
    return inWords(
      `open ${incident.subject}`,
      mkdir(dir, { recursive: true, mode: 0o700 }).then(() => locked(write)),
    )
  }

  async function update(stored: StoredIncident, incident: Incident, text: IncidentText, comment?: string) {
    const write = async () => {
      const fresh = await readOne(pathOf(stored.id))
      if (!fresh) throw new Error("it is gone or damaged: it is left alone")
      const base = bases.get(stored) ?? stored.incident
      const merged = mergeIncident(base, incident, fresh.block.incident)
      const title = fitTitle(text.title)
      const file: IncidentFile = {
        ...fresh,
        title: fresh.title === fresh.block.title ? title : fresh.title,
        text: text.body,
        block: { title, incident: merged },
        isOpen: stateAfter(fresh, merged, stored.isClosedByPerson || base.state === "closed"),
      }
      const written = await replace(pathOf(stored.id), file)
      if (comment !== undefined) await appendFile(commentsOf(stored.id), renderFileComment(comment), { mode: 0o600 })
      return remember(stored.id, written)
    }
    return inWords(`change ${stored.id}`, locked(write))
  }

  async function commands({ id, incident }: StoredIncident): Promise<IncidentComment[]> {
    const read = Number(incident.readComment ?? 0)
    const text = await readFile(commentsOf(id), "utf8").catch(unlessMissing)
    if (text === undefined) return []
    const { mtime } = await stat(commentsOf(id))
    const found = parseFileCommands(text).filter((command) => Number(command.id) > read)
    return found.map((command) => ({ ...command, at: mtime, mayCommand: true }))
  }

  const locked = <T>(fn: () => Promise<T>) => withDirectoryLock(dir, fn)
  const inWords = <T>(doing: string, work: Promise<T>) =>
    work.catch((error: unknown) => {
      throw new Error(`cannot ${doing} in the incidents of ${name}`, { cause: error })
    })

  return {
    name,
    list,
    open,
    update,
    commands: (stored) => inWords(`read the commands of ${stored.id}`, commands(stored)),
    comment: (stored, text) =>
      inWords(
        `comment on ${stored.id}`,
        locked(() => appendFile(commentsOf(stored.id), renderFileComment(text), { mode: 0o600 })),
      ),
  }
}

function directoryOf(url: string): string {
  const parsed = URL.parse(url)
  if (parsed?.protocol !== "file:" || parsed.host !== "" || parsed.search !== "" || parsed.hash !== "") {
    throw new ConfigError(
      "INCIDENTS is not the URL of a directory: set it to file:///absolute/path, with ? and # written as %3F and %23",
    )
  }
  return fileURLToPath(parsed).replace(/(?<=.)\/+$/, "")
}

function isOpen({ incident, isClosedByPerson }: StoredIncident): boolean {
  return incident.state !== "closed" && !isClosedByPerson
}

/** What a person closed or opened meanwhile stays so, unless it was known and is meant to change. */
function stateAfter(fresh: IncidentFile, merged: Incident, mayReopen: boolean): boolean {
  const wasOver = fresh.block.incident.state === "closed"
  if (merged.state === "closed") return wasOver && fresh.isOpen
  return fresh.isOpen || mayReopen
}

function freeName({ subject, openedAt }: Incident, taken: ReadonlySet<string>): string {
  const slug =
    subject
      .replace(/[^\p{L}\p{N}]+/gu, "-")
      .slice(0, 60)
      .replace(/^-|-$/g, "")
      .toLowerCase() || "incident"
  const base = `${openedAt.slice(0, 16).replaceAll(":", "-")}-${slug}`
  for (let count = 1; ; count++) {
    const id = count === 1 ? base : `${base}-${count}`
    if (!taken.has(`${id}.md`)) return id
  }
}

async function readOne(path: string): Promise<IncidentFile | undefined> {
  const found = await stat(path).catch(unlessMissing)
  if (!found?.isFile() || found.size > 4 * maxFileLength) return undefined
  return parseFile(await readFile(path, "utf8"))
}

/** Appears whole or not at all, also after a crash. */
async function replace(path: string, file: IncidentFile): Promise<IncidentFile> {
  const part = `${path}.${randomUUID()}.part`
  const text = renderFile(file)
  try {
    const handle = await openFile(part, "wx", 0o600)
    try {
      await handle.writeFile(text)
      await handle.sync()
    } finally {
      await handle.close()
    }
    await rename(part, path)
  } catch (error) {
    await rm(part, { force: true })
    throw error
  }
  return parseFile(text) ?? file
}

function unlessMissing(error: unknown): undefined {
  if (error instanceof Error && "code" in error && error.code === "ENOENT") return undefined
  throw error
}
