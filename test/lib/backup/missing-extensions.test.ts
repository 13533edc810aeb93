import { expect, it } from "vitest"
import { parseArchiveList } from "../../../lib/backup/archive.ts"
import { ofExtensions } from "../../../lib/backup/missing-extensions.ts"

it("picks an extension and the rows that the dump holds of its tables, and nothing of others", () => {
  const entries =
    parseArchiveList(`2; 3079 16400 EXTENSION - cron \n3; 3079 16500 EXTENSION - crontab \n;	depends on: 1
3400; 0 16401 TABLE DATA cron job owner\n3401; 0 16501 TABLE DATA public tabs owner\n210; 1259 16401 TABLE public other owner`)
  const table = { schema: "cron", name: "job", kind: "table" } as const
  const tables = [
    { ...table, oid: "16401", extension: "cron" },
    { ...table, oid: "16501", extension: "crontab" },
    { ...table, oid: "16502" },
  ]
  const picked = entries.filter(ofExtensions(new Set(["cron"]), tables))
  expect(picked.map(({ text }) => text)).toEqual(["EXTENSION - cron ", "TABLE DATA cron job owner"])
})
