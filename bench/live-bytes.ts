/** Promises how much memory is in use and not garbage. For a process that was started with --expose-gc. Imports node: modules only. */
import { setTimeout } from 'node:timers/promises'

/** The heap and what hangs on it outside: after a collection, and after another, because finalizers of the first let go of more. */
export async function liveBytes(): Promise<number> {
  if (globalThis.gc === undefined) throw new Error('Expected Node to be started with --expose-gc')
  for (let collection = 0; collection < 2; collection++) {
    globalThis.gc()
    await setTimeout(10)
  }
  // `external` includes the array buffers.
  const { heapUsed, external } = process.memoryUsage()
  return heapUsed + external
}
