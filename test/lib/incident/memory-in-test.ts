import {
  type Incident,
  type IncidentComment,
  type IncidentMemory,
  incidentSchema,
  type StoredIncident,
} from "../../../lib/incident/incident.ts"

type Operation = "list" | "open" | "update" | "commands"

/** What a call does instead of working: fail before or after it did its work. */
type Fault = "fails" | "works, but its answer is lost"

export type TestMemory = IncidentMemory & {
  /** What is kept, in the order in which it was made. */
  kept(): Incident[]
  /** The one of a subject that was made last. */
  of(subject: string): Incident
  titles(): string[]
  bodies(): string[]
  /** The comments of the one of a subject. */
  commentsOf(subject: string): string[]
  says(subject: string, text: string, comment?: Partial<IncidentComment>): void
  closeByHand(subject: string): void
  /** What the next calls of an operation do; after these it works. */
  next(operation: Operation, ...faults: (Fault | "works")[]): void
  /** Every call fails from now on, or works again. */
  isDown: boolean
  writes(): number
}

type Row = { json: string; title: string; body: string; isOpen: boolean; comments: string[]; said: IncidentComment[] }

/** Incidents in memory, as JSON like everywhere else, with the faults of a service far away. */
export function memoryInTest(): TestMemory {
  const rows: Row[] = []
  const faults = new Map<Operation, (Fault | "works")[]>()
  let writes = 0
  let comments = 0
  const incidentOf = (row: Row) => incidentSchema.parse(JSON.parse(row.json))
  const rowOf = (subject: string) => {
    const row = rows.findLast((one) => incidentOf(one).subject === subject)
    if (!row) throw new Error(`there is no incident of ${subject}`)
    return row
  }
  const stored = (row: Row): StoredIncident => {
    const incident = incidentOf(row)
    const id = String(rows.indexOf(row) + 1)
    const url = `https://github.com/acme/ops/issues/${id}`
    return { incident, id, url, isClosedByPerson: !row.isOpen && incident.state !== "closed" }
  }
  const call = async <T>(operation: Operation, work: () => T): Promise<T> => {
    const fault = memory.isDown ? "fails" : faults.get(operation)?.shift()
    if (fault === "fails") throw new Error(`GitHub answered 502 to ${operation}`)
    const result = work()
    if (fault === "works, but its answer is lost") throw new Error(`GitHub did not answer ${operation}`)
    return result
  }
  const memory: TestMemory = {
    name: "memory of the test",
    isDown: false,
    list: (closedSince) =>
      call("list", () =>
        rows.map(stored).filter(({ incident: { state, closedAt = "" } }) => {
          return state !== "closed" || new Date(closedAt) >= closedSince
        }),
      ),
    open: (incident, text) =>
      call("open", () => {
        if (rows.some((row) => row.isOpen && incidentOf(row).subject === incident.subject))
          throw new Error(`${incident.subject} has an open one`)
        const row = { json: JSON.stringify(incident), ...text, isOpen: true, comments: [], said: [] }
        rows.push(row)
        writes++
        return stored(row)
      }),
    update: ({ id }, incident, text, comment) =>
      call("update", () => {
        const row = rows[Number(id) - 1]
        if (!row) throw new Error(`there is no issue ${id}`)
        Object.assign(row, { json: JSON.stringify(incident), ...text, isOpen: incident.state !== "closed" })
        if (comment !== undefined) row.comments.push(comment)
        writes++
        return stored(row)
      }),
    commands: ({ id, incident }) =>
      call("commands", () =>
        (rows[Number(id) - 1]?.said ?? []).filter((one) => one.id > String(incident.readComment ?? "")),
      ),
    comment: async ({ id }, text) => void rows[Number(id) - 1]?.comments.push(text),
    kept: () => rows.map(incidentOf),
    of: (subject) => incidentOf(rowOf(subject)),
    titles: () => rows.map(({ title }) => title),
    bodies: () => rows.map(({ body }) => body),
    commentsOf: (subject) => rowOf(subject).comments,
    says: (subject, text, comment = {}) => {
      const id = `c${String(++comments).padStart(4, "0")}`
      const at = new Date("2026-03-01T03:20:00Z")
      rowOf(subject).said.push({ id, by: "ann", at, text, mayCommand: true, ...comment })
    },
    closeByHand: (subject) => void Object.assign(rowOf(subject), { isOpen: false }),
    next: (operation, ...planned) => void faults.set(operation, planned),
    writes: () => writes,
  }
  return memory
}
