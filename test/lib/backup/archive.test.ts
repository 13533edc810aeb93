import { describe, expect, it } from "vitest"
import { parseArchiveList, renderUseList, withDependencies, withDependents } from "../../../lib/backup/archive.ts"

const listing = `;
; Archive created at 2026-03-01 03:17:00 UTC
;     TOC Entries: 6
2; 3079 16385 EXTENSION - vector 
3465; 0 0 COMMENT - EXTENSION vector 
;	depends on: 2
217; 1259 16502 TABLE public embeddings owner
;	depends on: 2 2
218; 1259 16518 TABLE public "odd name" with spaces owner
3455; 0 16502 TABLE DATA public embeddings owner
;	depends on: 217
3311; 2606 16508 CONSTRAINT public embeddings embeddings_pkey owner
;	depends on: 217
`

describe("archive listing", () => {
  const entries = parseArchiveList(listing)

  it("reads entries with their dependencies and passes comments over", () => {
    expect(entries.map((entry) => entry.dumpId)).toEqual([2, 3465, 217, 218, 3455, 3311])
    expect(entries[2]).toMatchObject({ catalogueOid: "1259", oid: "16502", dependsOn: [2, 2] })
  })

  it("takes everything that needs an entry along, directly or not", () => {
    const removed = withDependents(entries, (entry) => entry.dumpId === 2)
    expect(removed.map((entry) => entry.dumpId)).toEqual([2, 3465, 217, 3455, 3311])
  })

  it("takes nothing along when nothing is picked", () => {
    expect(withDependents(entries, () => false)).toEqual([])
  })

  it("writes a list that keeps the archive's order without what was removed", () => {
    const removed = withDependents(entries, (entry) => entry.dumpId === 2)
    expect(renderUseList(entries, removed)).toBe('218; 1259 16518 TABLE public "odd name" with spaces owner\n')
    expect(parseArchiveList(renderUseList(entries, []))).toHaveLength(entries.length)
  })

  it("finds everything that an entry needs, directly or not", () => {
    const needed = withDependencies(entries, (entry) => entry.dumpId === 3311)
    expect(needed.map((entry) => entry.dumpId)).toEqual([2, 217, 3311])
  })

  it("puts event triggers behind the refresh of materialized views, which would set them off", () => {
    const late = parseArchiveList(`2; 3466 1 EVENT TRIGGER - on_ddl alice
3; 0 0 COMMENT - EVENT TRIGGER on_ddl alice
4; 0 5 MATERIALIZED VIEW DATA public m alice
`)
    const order = parseArchiveList(renderUseList(late, [])).map((entry) => entry.dumpId)
    expect(order).toEqual([4, 2, 3])
  })
})
