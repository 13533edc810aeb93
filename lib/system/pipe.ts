import { closeSync, constants, openSync } from "node:fs"
import { Socket } from "node:net"
import { join } from "node:path"
import { Readable } from "node:stream"
import { runProgram } from "./program.ts"
import { withTempDir } from "./temp.ts"

export type Pipe = {
  /** For the `stdout` of a program. A blocking descriptor. */
  readonly writeFd: number
  /** Closes this process's own copy: call it as soon as the program was started, else `output` never ends. Safe to call twice. */
  closeWriteEnd(): void
  /** What is written, in blocks of 512 KiB. Ends when every copy of the write end is closed; destroying it closes both ends. */
  readonly output: Readable
}

const blockBytes = 512 * 1024
const ownBlocks = new WeakSet<ArrayBufferLike>()

/**
 * A kernel pipe between a program and this process. The pipes that Node makes for a child are pairs of sockets, and programs such as
 * pg_dump write 4 KiB at a time: through a real pipe such output arrives several times faster and for less of the processor.
 */
export async function openPipe(): Promise<Pipe> {
  const { readFd, writeFd } = await withTempDir("pipe", async (dir) => {
    const path = join(dir, "fifo")
    await runProgram("mkfifo", ["-m", "600", path])
    return openEnds(path)
  })
  let isOpen = true
  const closeWriteEnd = () => {
    if (isOpen) closeSync(writeFd)
    isOpen = false
  }
  const output = readBlocks(readFd)
  output.once("close", closeWriteEnd)
  return { writeFd, closeWriteEnd, output }
}

/**
 * Frees a whole block of a pipe's output at once, for who has read it and passed it to nobody: left to the garbage collector, the blocks
 * of a large stream cost a sixth of this process's time. Does nothing for bytes from elsewhere and for parts of blocks. Whoever reads
 * freed bytes all the same finds none, never others.
 */
export function freeBlock(bytes: Uint8Array): void {
  const { buffer } = bytes
  if (bytes.length < blockBytes || !ownBlocks.has(buffer) || !(buffer instanceof ArrayBuffer)) return
  buffer.transfer(0)
}

/** Opening one end of a FIFO waits for the other; opening both at once does not. */
function openEnds(path: string): { readFd: number; writeFd: number } {
  const both = openSync(path, constants.O_RDWR)
  try {
    return {
      readFd: openSync(path, constants.O_RDONLY | constants.O_NONBLOCK),
      writeFd: openSync(path, constants.O_WRONLY),
    }
  } finally {
    closeSync(both)
  }
}

/** Reads straight into blocks and hands them on when they are full, so that no byte is copied and consumers wake rarely. */
function readBlocks(fd: number): Readable {
  let block = newBlock()
  let used = 0
  const output = new Readable({
    highWaterMark: 2 * blockBytes,
    read: () => void socket.resume(),
    destroy(error, callback) {
      socket.destroy()
      callback(error)
    },
  })
  const socket = new Socket({
    fd,
    readable: true,
    writable: false,
    onread: { buffer: () => block.subarray(used), callback: (bytes) => accept(bytes) },
  })
  socket.once("error", (error) => output.destroy(error))
  socket.once("end", () => {
    if (used > 0) output.push(block.subarray(0, used))
    output.push(null)
  })
  return output

  /** Returning false stops reading until `read` is called. */
  function accept(bytes: number): boolean {
    used += bytes
    if (used < blockBytes) return true
    const full = block
    block = newBlock()
    used = 0
    return output.push(full)
  }
}

function newBlock(): Buffer {
  const block = Buffer.allocUnsafeSlow(blockBytes)
  ownBlocks.add(block.buffer)
  return block
}
