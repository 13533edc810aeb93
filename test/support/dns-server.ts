import { createSocket } from "node:dgram"
import { type Answer, decode, encode, type RecordType } from "dns-packet"

export type DnsAnswers = {
  answers?: Answer[]
  /** 2 is SERVFAIL, 3 is NXDOMAIN, 5 is REFUSED. */
  rcode?: number
}

export type DnsServer = AsyncDisposable & {
  /** As a resolver takes it: `127.0.0.1:PORT`. */
  address: string
  /** Names and types that were asked, in order. */
  questions: string[]
}

/** A name server over UDP that answers by `name type`, such as `shop.example A`; NXDOMAIN for others, nothing for what is `silent`. */
export async function startDnsServer(zone: Record<string, DnsAnswers | "silent">): Promise<DnsServer> {
  const questions: string[] = []
  const socket = createSocket("udp4")
  socket.on("message", (message, peer) => {
    const query = decode(message)
    const [question] = query.questions ?? []
    const key = `${question?.name} ${question?.type}`
    questions.push(key)
    const found = zone[key] ?? { rcode: 3 }
    if (found === "silent") return
    const { answers = [], rcode = 0 } = found
    const flags = 0x0180 | rcode // recursion is wanted and given
    socket.send(
      encode({ type: "response", id: query.id ?? 0, flags, questions: query.questions ?? [], answers }),
      peer.port,
      peer.address,
    )
  })
  await new Promise<void>((resolve) => socket.bind(0, "127.0.0.1", resolve))
  const close = () => new Promise<void>((resolve) => socket.close(() => resolve()))
  return { address: `127.0.0.1:${socket.address().port}`, questions, [Symbol.asyncDispose]: close }
}

/** One record; `data` as dns-packet takes it. */
export function record(name: string, type: RecordType, data: unknown): Answer {
  return { name, type, ttl: 60, data } as Answer
}
