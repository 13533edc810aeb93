import fc from "fast-check"
import { expect, it } from "vitest"
import { newestReceiptKey } from "../../../lib/backup/receipt-store.ts"

const folder = (names: readonly string[]) => ({
  database: "main",
  id: "2026-03-01T03-17-00Z",
  at: new Date("2026-03-01T03:17:00Z"),
  isCommitted: true,
  objects: names.map((name) => ({ key: `main/2026-03-01T03-17-00Z/${name}`, sizeBytes: 1, modifiedAt: new Date(0) })),
})

it("is the latest, and of several in one second the one that was stored last, in whatever order they are listed", () => {
  const copies = Array.from({ length: 12 }, (_, at) => `receipt-2026-03-02T04-17-00Z${at > 0 ? `-${at + 1}` : ""}.json`)
  const others = [
    "receipt-2026-03-01T04-17-00Z.json",
    "receipt-2026-03-02T04-16-59Z-99.json",
    "manifest.json",
    "RECOVERY.md",
  ]
  fc.assert(
    fc.property(fc.shuffledSubarray([...copies, ...others], { minLength: 16 }), (names) => {
      expect(newestReceiptKey(folder(names))).toBe("main/2026-03-01T03-17-00Z/receipt-2026-03-02T04-17-00Z-12.json")
    }),
  )
  expect(
    newestReceiptKey(folder(["receipt-2026-03-02T04-17-00Z-2.json", "receipt-2026-03-02T04-17-01Z.json"])),
  ).toContain("17-01Z.json")
  expect(newestReceiptKey(folder(["manifest.json", "receipt-other.json"]))).toBeUndefined()
})
