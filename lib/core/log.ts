/** How a job tells what it is doing. Every text and value passes the redaction before it is written. */
export type Log = {
  debug(message: string, metadata?: LogMetadata): void
  info(message: string, metadata?: LogMetadata): void
  warn(message: string, metadata?: LogMetadata): void
  error(message: string, metadata?: LogMetadata): void
  /** Starts a long piece of work: shown as bytes, rate and ETA on a terminal, as a line every 10 s elsewhere. */
  progress(label: string, totalBytes?: number): Progress
}

export type LogMetadata = Record<string, unknown>

export type Progress = {
  /** Sets how much is done so far, in bytes. Cheap: call it for every chunk. */
  at(doneBytes: number): void
  /** Ends the line. Safe to call twice. */
  done(): void
}
