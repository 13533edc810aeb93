import { describe, expect, it } from "vitest"
import { down, shaky, slow, unseen, up, watch } from "../../support/watch.ts"

const db = "service/db"
const api = down("service/api", { cause: db })
const web = down("service/web", { cause: "service/api" })

describe("what fails because of something else", () => {
  it("opens nothing of its own and is listed under the last cause", () => {
    const night = watch()
    const { sayings } = night.run(0, [web, api, down(db)])
    expect(sayings).toMatchObject([{ kind: "opened", muted: ["service/api", "service/web"] }])
    expect(night.open().map(({ subject, muted }) => ({ subject, muted }))).toEqual([
      { subject: db, muted: ["service/api", "service/web"] },
    ])
  })

  it("is told under its provider, as bad as what fails", () => {
    const night = watch()
    const findings = ["service/api", "service/web"].map((name) => down(name, { cause: "provider/supabase" }))
    night.run(0, [...findings, slow("provider/supabase")])
    expect(night.news()).toEqual(["opened provider/supabase"])
    expect(night.newest("provider/supabase")).toMatchObject({ severity: "P1", muted: ["service/api", "service/web"] })
  })

  it("speaks for itself when nobody looked at the cause, when that is well, or when causes go in a circle", () => {
    for (const findings of [
      [api],
      [api, up(db)],
      [api, unseen(db)],
      [api, down(db, { cause: "service/api" })],
      [down("service/api", { cause: "service/api" })],
    ]) {
      const night = watch()
      night.run(0, findings)
      expect(night.news()).toContain("opened service/api")
    }
  })

  it("makes sure of its cause: two that fail together are no chance", () => {
    const night = watch()
    night.run(0, [shaky(db), api])
    expect(night.news()).toEqual(["opened service/db"])
  })

  it("stays muted while the cause is not looked at, or nobody can say", () => {
    const night = watch()
    night.run(0, [down(db)])
    night.run(5, [api])
    night.run(10, [web, api, unseen(db)])
    expect(night.news()).toEqual(["opened service/db"])
    expect(night.newest(db).muted).toEqual(["service/api", "service/web"])
    expect(night.run(10, [web, api, unseen(db)]).actions).toEqual([])
  })

  it("is judged on its own once the cause has recovered", () => {
    const night = watch()
    night.run(0, [down(db), api])
    night.run(5, [up(db), down("service/api")])
    expect(night.news()).toEqual(["opened service/db"])
    night.run(10, [up(db), down("service/api")])
    expect(night.news().sort()).toEqual(["opened service/api", "recovered service/db"])
  })

  it("is not counted against it: one more failure by chance opens nothing", () => {
    const night = watch()
    night.run(0, [down(db), { ...api, isConfirmed: false }])
    night.run(5, [up(db), up("service/api")])
    night.run(10, [up(db), shaky("service/api")])
    expect(night.news()).toEqual(["opened service/db", "recovered service/db"])
    night.run(15, [up(db), shaky("service/api")])
    expect(night.news()).toEqual(["opened service/api"])
  })

  it("is not said again when it had an incident before its cause", () => {
    const night = watch()
    night.run(0, [down("service/api")])
    for (let minute = 5; minute < 400; minute += 30) night.run(minute, [api, down(db)])
    expect(night.news().filter((line) => line.endsWith("api"))).toEqual(["opened service/api"])
    for (const minute of [410, 415]) night.run(minute, [up("service/api"), up(db)])
    expect(night.news()).toEqual(["recovered service/api", "recovered service/db"])
  })

  it("makes its cause worse when it is worse itself, and leaves the list when it is well", () => {
    const night = watch()
    night.run(0, [slow("provider/render")])
    night.run(5, [slow("provider/render")])
    const shop = down("service/shop", { cause: "provider/render", severity: "P0" })
    night.run(10, [slow("provider/render"), shop])
    expect(night.news()).toEqual(["opened provider/render", "worse provider/render"])
    night.run(15, [slow("provider/render"), up("service/shop")])
    expect(night.newest("provider/render")).toMatchObject({ severity: "P2", muted: [] })
  })
})
