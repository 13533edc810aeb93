import { openIncidentMemory } from "../../../lib/incident/open-memory.ts"
import { incidentOf, logTo, longAgo, outboxItem, text } from "./sample.ts"

/** One of several processes that write to the same directory: `url writer`. */
const [url = "", writer = ""] = process.argv.slice(2)
const memory = openIncidentMemory(url, { log: logTo([]) })
await memory.open(incidentOf("service/web"), text).catch((error: Error) => {
  if (!error.cause || !String(error.cause).includes("open incident already")) throw error
})
for (let count = 0; count < 5; count++) {
  const [stored] = await memory.list(longAgo)
  if (!stored) throw new Error("it is not there")
  const outbox = [...stored.incident.outbox, outboxItem(`still-${writer}${count}`)]
  await memory.update(stored, { ...stored.incident, outbox }, text)
}
