import { expect, it } from "vitest"
import { sleep, startTimer } from "../../../lib/system/clock.ts"

it("sleep ends with the signal's reason as soon as it fires", async () => {
  const abort = new AbortController()
  const reason = new Error("enough")
  const elapsed = startTimer()
  const sleeping = sleep(30_000, abort.signal)
  abort.abort(reason)
  await expect(sleeping).rejects.toBe(reason)
  await expect(sleep(1, abort.signal)).rejects.toBe(reason)
  expect(elapsed()).toBeLessThan(1000)
})

it("a timer counts the milliseconds of a sleep", async () => {
  const elapsed = startTimer()
  await sleep(30)
  expect(elapsed()).toBeGreaterThanOrEqual(29)
})
