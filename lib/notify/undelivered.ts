/** A message that surely did not arrive: it may be sent again without being a repeat. */
export class NotTaken extends Error {
  override readonly name = "NotTaken"
}

/** Whether it is sure that the message did not arrive; of any other error that is not known. */
export function isNotTaken(error: unknown): boolean {
  return error instanceof NotTaken
}
