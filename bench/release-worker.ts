/**
 * Gives locks back with one library, in one of two ways, and measures how fast that goes. Runs in a process of its
 * own, started with --expose-gc, and answers with a `PartMeasurement`.
 */
import { Redis } from 'ioredis'
import { answerWith } from './child-process.ts'
import { endServer } from './end-server.ts'
import { inParallel } from './in-parallel.ts'
import { findKeys, type KeyKind, makeKeys } from './keys.ts'
import type { Library } from './library.ts'
import { loadLibrary } from './load-library.ts'
import type { PartMeasurement, ReleaseJob } from './release-measurement.ts'
import { type Taken, takeTime } from './stopwatch.ts'

const WARM_UP_LOCKS = 10_000

async function measure(job: ReleaseJob): Promise<PartMeasurement> {
  const control = new Redis(job.url)
  const library = await loadLibrary(job.library)
  const giveBack = job.part === 'crowd' ? releaseInCrowd : closeAll
  await giveBack(library, control, job, makeKeys('warm-up:', WARM_UP_LOCKS))
  const kind: KeyKind = 'benched:'
  const taken = await giveBack(library, control, job, makeKeys(kind, job.locks))
  return { ...taken, left: (await findKeys(control, kind)).size }
}

async function releaseInCrowd(library: Library, control: Redis, job: ReleaseJob, keys: string[]): Promise<Taken> {
  const holder = await library.open(job.url, job.ttl)
  const held = await inParallel(keys, (key) => holder.take(key))
  globalThis.gc?.()
  const taken = await takeTime(control, () => inParallel(held, (one) => one.release()))
  await holder.close()
  return taken
}

async function closeAll(library: Library, control: Redis, job: ReleaseJob, keys: string[]): Promise<Taken> {
  const holder = await library.open(job.url, job.ttl)
  await holder.acquireAll(keys)
  globalThis.gc?.()
  return takeTime(control, () => holder.close())
}

await answerWith(measure, endServer)
