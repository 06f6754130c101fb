/** Promises what it takes until many callers at once have each taken one lock after another. The release is not measured. */
import type { Redis } from 'ioredis'
import { inParallel } from './in-parallel.ts'
import type { Held, Holder } from './library.ts'
import { type Taken, takeTime } from './stopwatch.ts'

/** What was taken stays taken; it is given back when nothing is measured any more, so that each key is a free one. */
export async function takeAndRelease(holder: Holder, control: Redis, keys: readonly string[]): Promise<Taken> {
  let held: Held[] = []
  const taken = await takeTime(control, async () => {
    held = await inParallel(keys, (key) => holder.take(key))
  })
  await inParallel(held, (one) => one.release())
  return taken
}
