import { createSocket } from "node:dgram"

/** Whether this machine has a way to an IP address. Sends nothing: only asks the kernel for a route. */
export async function hasRoute(address: string): Promise<boolean> {
  const socket = createSocket(address.includes(":") ? "udp6" : "udp4")
  try {
    return await new Promise<boolean>((resolve) => {
      socket.once("error", () => resolve(false)).once("connect", () => resolve(true))
      socket.connect(5432, address)
    })
  } finally {
    socket.close()
  }
}
