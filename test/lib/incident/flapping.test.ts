import { expect, it } from "vitest"
import { down, shaky, up, watch } from "../../support/watch.ts"

const api = "service/api"

/** Down for one look and well for two, again and again, every ten minutes. */
function comeAndGo(night: ReturnType<typeof watch>, from: number, to: number): void {
  for (let minute = from; minute < to; minute += 10) night.run(minute, [(minute / 10) % 3 === 0 ? down(api) : up(api)])
}

it("says once that it comes and goes, then only digests, and once that it is over", () => {
  const night = watch()
  comeAndGo(night, 0, 13 * 60)
  for (let minute = 13 * 60; minute < 22 * 60; minute += 10) night.run(minute, [up(api)])
  const kinds = night.heard.map(({ kind }) => kind)
  expect(kinds).toEqual([
    ...["opened", "recovered", "opened", "recovered", "flapping"],
    ...["digest", "digest", "recovered"],
  ])
  expect(night.open()).toEqual([])
})

it("is over only when it was good for the whole time of a digest", () => {
  const night = watch()
  comeAndGo(night, 0, 70)
  night.run(70 + 5 * 60, [up(api)])
  expect(night.newest(api).state).toBe("flapping")
  night.run(70 + 5 * 60 + 30, [shaky(api)])
  night.run(70 + 7 * 60, [up(api)])
  night.run(70 + 8 * 60, [up(api)])
  expect(night.newest(api).state).toBe("flapping")
})

it("is an incident like others when it stays bad: its reminders end", () => {
  const night = watch()
  comeAndGo(night, 0, 70)
  night.news()
  for (let minute = 70; minute < 10 * 24 * 60; minute += 10) night.run(minute, [down(api)])
  expect(night.newest(api).state).toBe("firing")
  expect(night.news()).toEqual(["still service/api", "still service/api", "still service/api"])
})

it("does not begin when the openings lie further apart", () => {
  const night = watch()
  for (const hour of [0, 4, 8, 12]) {
    night.run(hour * 60, [down(api)])
    for (const minute of [10, 20]) night.run(hour * 60 + minute, [up(api)])
  }
  expect(night.heard.map(({ kind }) => kind)).not.toContain("flapping")
})
