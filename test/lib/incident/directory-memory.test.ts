import { fork } from "node:child_process"
import { randomUUID } from "node:crypto"
import { appendFile, chmod, mkdir, mkdtemp, readdir, readFile, rm, stat, symlink, writeFile } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { pathToFileURL } from "node:url"
import { afterEach, beforeEach, describe, expect, it } from "vitest"
import { errorText } from "../../../lib/core/error-text.ts"
import { openIncidentMemory } from "../../../lib/incident/open-memory.ts"
import { describeMemory, type MemoryPlace } from "./memory-conformance.ts"
import { incidentOf, logTo, longAgo, outboxItem, text } from "./sample.ts"

let dir: string
let warnings: string[]
beforeEach(async () => {
  dir = join(await mkdtemp(join(tmpdir(), "nightshift-incidents-")), "in cidents#1")
  warnings = []
})
afterEach(() => rm(join(dir, ".."), { recursive: true, force: true }))

const open = () => openIncidentMemory(pathToFileURL(dir).href, { log: logTo(warnings) })
const fileOf = (id: string) => join(dir, `${id}.md`)
const commentsOf = (id: string) => join(dir, `${id}.comments.md`)
const rewrite = async (id: string, change: (body: string) => string) =>
  writeFile(fileOf(id), change(await readFile(fileOf(id), "utf8")))

const place = (): MemoryPlace => ({
  memory: open,
  warnings,
  async shown(id) {
    const body = await readFile(fileOf(id), "utf8")
    const comments = (await readFile(commentsOf(id), "utf8").catch(() => "")).split("<!-- /nightshift:comment -->")
    const title = /^# (.*)$/m.exec(body)?.[1] ?? ""
    return { title, body, isOpen: /^State: open$/m.test(body), comments: comments.slice(0, -1) }
  },
  add: (body) => writeFile(fileOf(randomUUID()), body),
  retitle: (id, title) => rewrite(id, (body) => body.replace(/^# .*$/m, `# ${title}`)),
  edit: rewrite,
  close: (id) => rewrite(id, (body) => body.replace("State: open", "State: closed")),
  reopen: (id) => rewrite(id, (body) => body.replace("State: closed", "State: open")),
  say: (id, by, text) => appendFile(commentsOf(id), `${by}: ${text}\n`),
})

describeMemory("a directory", async () => place())

describe("a directory as the memory of incidents", () => {
  it("says what is in the way", async () => {
    await writeFile(dir, "a file where the directory should be")

    expect(await open().open(incidentOf("service/web"), text).catch(errorText)).toMatch(
      /^cannot open service\/web in the incidents of file:\/\/.*(ENOTDIR|EEXIST)/,
    )
    expect(await open().list(longAgo).catch(errorText)).toContain("cannot list")
  })

  it("opens one for a subject when four processes try at once, and loses none of what they add", async () => {
    await mkdir(dir)
    const script = join(import.meta.dirname, "write-incidents.ts")
    const run = (writer: number) =>
      new Promise<number | null>((resolve, reject) => {
        const child = fork(script, [pathToFileURL(dir).href, String(writer)], { execArgv: ["--import", "tsx"] })
        child.once("exit", resolve).once("error", reject)
      })
    expect(await Promise.all([1, 2, 3, 4].map(run))).toEqual([0, 0, 0, 0])

    const listed = await open().list(longAgo)
    expect(listed).toHaveLength(1)
    const ids = listed[0]?.incident.outbox.map(({ id }) => id) ?? []
    expect(ids.sort()).toEqual(
      [1, 2, 3, 4].flatMap((writer) => [0, 1, 2, 3, 4].map((count) => `still-${writer}${count}`)),
    )
    expect((await readdir(dir)).filter((name) => !name.endsWith(".md"))).toEqual([])
  })

  it("goes on after a process that died with the lock", async () => {
    await mkdir(dir)
    await writeFile(join(dir, ".lock"), "gone")
    await open().open(incidentOf("service/web"), text)

    expect((await readdir(dir)).filter((name) => name.startsWith(".lock"))).toEqual([])
  }, 20_000)

  it("lets only the owner read", async () => {
    const stored = await open().open(incidentOf("service/web"), text)
    await open().comment(stored, "hello")

    const mode = async (path: string) => ((await stat(path)).mode & 0o777).toString(8)
    expect(await Promise.all([dir, fileOf(stored.id), commentsOf(stored.id)].map(mode))).toEqual(["700", "600", "600"])
    await chmod(dir, 0o700)
  })

  it("leaves other files, links and folders alone", async () => {
    const stored = await open().open(incidentOf("service/web"), text)
    await mkdir(join(dir, "folder.md"))
    await symlink(fileOf(stored.id), join(dir, "link.md"))
    await writeFile(join(dir, "README.md"), "# Incidents of our team")
    await writeFile(join(dir, ".hidden.md"), "x")

    expect((await open().list(longAgo)).map(({ id }) => id)).toEqual([stored.id])
    expect(warnings).toHaveLength(1)
    expect(warnings[0]).toContain("README.md")
  })

  it("writes over no file of the same name, and counts a copy of one only once", async () => {
    await mkdir(dir)
    await writeFile(join(dir, "2026-03-01T03-17-service-web.md"), "mine")
    const stored = await open().open(incidentOf("service/web"), text)
    await writeFile(join(dir, "copy.md"), await readFile(fileOf(stored.id)))

    expect(stored.id).toBe("2026-03-01T03-17-service-web-2")
    expect(await open().list(longAgo)).toHaveLength(1)
    expect(await readFile(join(dir, "2026-03-01T03-17-service-web.md"), "utf8")).toBe("mine")
  })

  it("takes a command from whoever can write there, with or without a name", async () => {
    const stored = await open().open(incidentOf("service/web", { outbox: [outboxItem("opened-1")] }), text)
    await appendFile(commentsOf(stored.id), "/ack 4h\r\nhttps://example.com/ack: no command\n")

    expect(await open().commands(stored)).toMatchObject([{ id: "1", by: "someone", text: "/ack 4h", mayCommand: true }])
  })

  it.each(["", "incidents", "s3://bucket/x", "github:", "file://host/dir", "file:///dir?x=1"])(
    "is not where %j points to",
    (url) => {
      expect(() => openIncidentMemory(url, { log: logTo([]) })).toThrow(/^INCIDENTS is .*: set it to/)
    },
  )
})
