/**
 * Takes locks with one library, in one of three ways, and measures how fast that goes. Runs in a process of its own,
 * started with --expose-gc, and answers with a `PartMeasurement`.
 */
import { Redis } from 'ioredis'
import type { AcquireJob, PartMeasurement } from './acquire-measurement.ts'
import { answerWith } from './child-process.ts'
import { endServer } from './end-server.ts'
import { type KeyKind, makeKeys } from './keys.ts'
import type { Holder } from './library.ts'
import { loadLibrary } from './load-library.ts'
import { takeTime } from './stopwatch.ts'
import { takeAndRelease } from './take-and-release.ts'

/** Locks, or pairs. */
const SECOND_WARM_UP = 20_000
/** Keys that the single caller takes in turn: none of them twice in a row. */
const SINGLE_KEYS = 1_000

async function measure(job: AcquireJob): Promise<PartMeasurement> {
  const { part, library, locks, pairs, ttl } = job
  const control = new Redis(job.url)
  const holder = await (await loadLibrary(library)).open(job.url, ttl)
  const take = async (kind: KeyKind, count: number): Promise<PartMeasurement> => {
    switch (part) {
      case 'single':
        return takeSingly(holder, control, makeKeys(kind, SINGLE_KEYS), count)
      case 'crowd':
        return { ...(await takeAndRelease(holder, control, makeKeys(kind, count))), latencies: [] }
      case 'many':
        return takeInOneGo(holder, control, makeKeys(kind, count))
      default:
        return part satisfies never
    }
  }
  const count = part === 'single' ? pairs : locks
  // For V8, which compiles what is done often, and forgets some of that when all garbage is collected.
  await take('warm-up:', count)
  globalThis.gc?.()
  await take('warm-up:', Math.min(count, SECOND_WARM_UP))
  return take('benched:', count)
}

async function takeSingly(holder: Holder, control: Redis, keys: string[], pairs: number): Promise<PartMeasurement> {
  const latencies: number[] = []
  const taken = await takeTime(control, async () => {
    for (let pair = 0; pair < pairs; pair++) {
      const startedAt = performance.now()
      const held = await holder.take(keys[pair % keys.length] as string)
      await held.release()
      latencies.push((performance.now() - startedAt) * 1_000)
    }
  })
  return { ...taken, latencies }
}

async function takeInOneGo(holder: Holder, control: Redis, keys: string[]): Promise<PartMeasurement> {
  const taken = await takeTime(control, () => holder.acquireAll(keys))
  await holder.releaseAll()
  return { ...taken, latencies: [] }
}

await answerWith(measure, endServer)
