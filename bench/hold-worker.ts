/**
 * Holds locks with one library and measures what that costs. Runs in a process of its own, started with --expose-gc, and
 * answers with a `HoldMeasurement`. May import what measures, and library.ts.
 */
import { monitorEventLoopDelay } from 'node:perf_hooks'
import { setTimeout } from 'node:timers/promises'
import { Redis } from 'ioredis'
import { answerWith } from './child-process.ts'
import { endServer } from './end-server.ts'
import type { HoldJob, HoldMeasurement } from './hold-measurement.ts'
import { findKeys, makeKeys } from './keys.ts'
import { type Holder, loadLibrary } from './library.ts'
import { countersBetween, readServerCounters } from './server-counters.ts'

const WARM_UP_LOCKS = 2_000
/** In ms: what is due within a third of the ttl is renewed meanwhile, and so compiled. */
const WARM_UP_HOLD = 1_000
/** In ms. The finest there is: a coarser monitor would report its own period as the delay of an idle loop. */
const RESOLUTION = 1

async function measure(job: HoldJob): Promise<HoldMeasurement> {
  const { library, locks, ttl, seconds } = job
  // Its own connection, so that no question waits behind the library's commands.
  const control = new Redis(job.url)
  const holder = await (await loadLibrary(library)).open(job.url, ttl)

  await holder.acquireAll(makeKeys('warm-up:', WARM_UP_LOCKS))
  await setTimeout(WARM_UP_HOLD)
  await holder.releaseAll()

  const bytesBefore = await liveBytes()
  const acquire = await measureAcquire(holder, locks)
  // More than one renewal of each lock, so that the windows see a steady state.
  await setTimeout((ttl / 3) * 1.25 + 500)
  const bytesEarly = await liveBytes()
  const cost = await measureCost(control, seconds)
  const delay = await measureDelay(seconds)
  const bytesLate = await liveBytes()

  const end = { held: holder.held(), lost: holder.lost(), alive: (await findKeys(control, 'benched:')).size }
  await holder.close()
  control.disconnect()
  // The smaller one: a burst of renewals in flight is no part of what a held lock takes.
  const heap = { bytes: Math.min(bytesEarly, bytesLate) - bytesBefore }
  return { library, locks, ttl, acquire, cost, delay, heap, end }
}

/** Makes the keys itself, before the clock starts: none of them is in the heap that is measured before. */
async function measureAcquire(holder: Holder, locks: number): Promise<HoldMeasurement['acquire']> {
  const keys = makeKeys('benched:', locks)
  const startedAt = performance.now()
  await holder.acquireAll(keys)
  return { seconds: (performance.now() - startedAt) / 1_000 }
}

async function measureCost(control: Redis, seconds: number): Promise<HoldMeasurement['cost']> {
  const serverBefore = await readServerCounters(control)
  const cpuBefore = process.cpuUsage()
  const startedAt = performance.now()
  await setTimeout(seconds * 1_000)
  const serverAfter = await readServerCounters(control)
  const { user, system } = process.cpuUsage(cpuBefore)
  return {
    seconds: (performance.now() - startedAt) / 1_000,
    nodeCpu: user + system,
    server: countersBetween(serverBefore, serverAfter),
  }
}

/** A window of its own: a monitor of this resolution wakes 1,000 times a second, which costs some percent of a core. */
async function measureDelay(seconds: number): Promise<HoldMeasurement['delay']> {
  const monitor = monitorEventLoopDelay({ resolution: RESOLUTION })
  monitor.enable()
  await setTimeout(seconds * 1_000)
  monitor.disable()
  const [p50 = 0, p99 = 0, max = 0] = [monitor.percentile(50), monitor.percentile(99), monitor.max].map(
    (ns) => ns / 1e6,
  )
  return { resolution: RESOLUTION, p50, p99, max }
}

/** After a collection; and after another, because finalizers of the first let go of more. */
async function liveBytes(): Promise<number> {
  if (globalThis.gc === undefined) throw new Error('Expected Node to be started with --expose-gc')
  for (let collection = 0; collection < 2; collection++) {
    globalThis.gc()
    await setTimeout(10)
  }
  // `external` includes the array buffers.
  const { heapUsed, external } = process.memoryUsage()
  return heapUsed + external
}

await answerWith(measure, endServer)
