/** Promises that whoever waits sees what is going on, on stderr; stdout belongs to the figures. */

const startedAt = performance.now()

export function progress(message: string): void {
  const seconds = (performance.now() - startedAt) / 1_000
  process.stderr.write(`[${seconds.toFixed(1).padStart(6)} s] ${message}\n`)
}
