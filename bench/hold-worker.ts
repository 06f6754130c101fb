/**
 * Holds locks with one library and measures what that costs. Runs in a process of its own, started with --expose-gc,
 * and answers with a `HoldMeasurement`.
 */
import { monitorEventLoopDelay, PerformanceObserver } from 'node:perf_hooks'
import { setTimeout } from 'node:timers/promises'
import { queryObjects } from 'node:v8'
import { Redis } from 'ioredis'
import { answerWith } from './child-process.ts'
import { membersOf } from './connect-to.ts'
import { endServer } from './end-server.ts'
import type { HoldJob, HoldMeasurement } from './hold-measurement.ts'
import { countKeys, makeKeys } from './keys.ts'
import type { Holder } from './library.ts'
import { loadLibrary, loadPermits } from './load-library.ts'
import { liveBytes } from './live-bytes.ts'
import { oldestRenewal, SAMPLE } from './renewal-age.ts'
import { takeAndRelease } from './take-and-release.ts'
import { countersBetween, readServerCounters, type ServerCounters } from './server-counters.ts'

const WARM_UP_LOCKS = 2_000
/** In ms: what is due within a third of the ttl is renewed meanwhile, and so compiled. */
const WARM_UP_HOLD = 1_000
/** In ms: what the burst of acquisitions left behind is done then. */
const REST = 500
/** Locks up to which the timers in the heap are counted. */
const COUNTABLE = 100_000
/** In ms. The finest there is: a coarser monitor would report its own period as the delay of an idle loop. */
const RESOLUTION = 1

/** The class of Node's timers, which has no other name. */
const Timeout = globalThis.setTimeout(() => {}, 0).constructor as abstract new () => unknown

async function measure(job: HoldJob): Promise<HoldMeasurement> {
  // Its own connections, so that no question waits behind the library's commands.
  const [control, ...others] = membersOf(job.url).map((url) => new Redis(url)) as [Redis, ...Redis[]]
  await Promise.all([control, ...others].map((client) => client.ping()))
  // What it knew, the keys and the handles, is out of reach when it has returned.
  const { bytesBefore, bytesHeld, ...held } = await holdLocks(job, control, others)
  const left = (await liveBytes()) - bytesBefore
  for (const client of [control, ...others]) client.disconnect()
  const { library, locks, ttl } = job
  return { library, locks, ttl, ...held, heap: { bytes: bytesHeld - bytesBefore, left } }
}

interface Held extends Pick<HoldMeasurement, 'acquire' | 'delay' | 'cost' | 'crowd' | 'timers' | 'age' | 'end'> {
  readonly bytesBefore: number
  readonly bytesHeld: number
}

async function holdLocks(
  { library, url, locks, ttl, seconds, permits = false, crowd: callers = 0 }: HoldJob,
  control: Redis,
  others: readonly Redis[],
): Promise<Held> {
  const holder = await (await (permits ? loadPermits(library) : loadLibrary(library))).open(url, ttl)

  await holder.acquireAll(makeKeys('warm-up:', WARM_UP_LOCKS))
  await setTimeout(WARM_UP_HOLD)
  await holder.releaseAll()
  const lostBefore = holder.lost()

  const timersBefore = countTimers()
  const bytesBefore = await liveBytes()
  const acquire = await measureAcquire(holder, locks)
  await setTimeout(REST)
  const bytesEarly = await liveBytes()
  const settled = setTimeout((ttl / 3) * 1.25)
  const delay = await measureDelay(seconds)
  // More than one renewal of each lock, so that what it costs is seen in a steady state.
  await settled
  const bytesLate = await liveBytes()
  const cost = await measureCost(control, others, seconds)
  const crowd = callers > 0 ? await measureCrowd(holder, control, callers) : null

  const told = holder.tell?.()
  const { alive, some } = await countKeys(control, 'benched:', locks, SAMPLE)
  const age = { oldest: await oldestRenewal(control, some, ttl), lag: told?.lag ?? null }
  const end = { held: holder.held(), lost: holder.lost() - lostBefore, alive }
  // After all else, because it stops the process: for half a second with 100,000 locks, and with many more for so long that
  // they would expire.
  const set = locks <= COUNTABLE ? countTimers() - timersBefore : null
  const timers = { set, told: told?.timers ?? null }
  await holder.close()
  // The smaller one: a burst of renewals in flight is no part of what a held lock takes.
  return { acquire, delay, cost, crowd, timers, age, end, bytesBefore, bytesHeld: Math.min(bytesEarly, bytesLate) }
}

/** Makes the keys itself, before the clock starts: none of them is in the heap that is measured before. */
async function measureAcquire(holder: Holder, locks: number): Promise<HoldMeasurement['acquire']> {
  const keys = makeKeys('benched:', locks)
  const startedAt = performance.now()
  await holder.acquireAll(keys)
  return { seconds: (performance.now() - startedAt) / 1_000 }
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

async function measureCost(
  control: Redis,
  others: readonly Redis[],
  seconds: number,
): Promise<HoldMeasurement['cost']> {
  let collections = 0
  const collectionsSeen = new PerformanceObserver((list) => {
    collections += list.getEntries().length
  })
  collectionsSeen.observe({ entryTypes: ['gc'] })
  const [serverBefore, ...othersBefore] = await readAll([control, ...others])
  const heapBefore = process.memoryUsage().heapUsed
  const cpuBefore = process.cpuUsage()
  const startedAt = performance.now()
  await setTimeout(seconds * 1_000)
  const grown = process.memoryUsage().heapUsed - heapBefore
  const [serverAfter, ...othersAfter] = await readAll([control, ...others])
  const { user, system } = process.cpuUsage(cpuBefore)
  const elapsed = performance.now() - startedAt
  collectionsSeen.disconnect()
  return {
    seconds: elapsed / 1_000,
    nodeCpu: user + system,
    server: countersBetween(serverBefore, serverAfter),
    others: othersAfter.map((after, index) => countersBetween(othersBefore[index] as ServerCounters, after)),
    grown,
    collections,
  }
}

function readAll(clients: readonly Redis[]): Promise<readonly [ServerCounters, ...ServerCounters[]]> {
  return Promise.all(clients.map(readServerCounters)) as Promise<[ServerCounters, ...ServerCounters[]]>
}

/** Twice: for V8, which compiles what is done often. */
async function measureCrowd(holder: Holder, control: Redis, locks: number): Promise<HoldMeasurement['crowd']> {
  const keys = makeKeys('warm-up:', locks)
  await takeAndRelease(holder, control, keys)
  return { locks, ...(await takeAndRelease(holder, control, keys)) }
}

/** Those that live in the heap: `process.getActiveResourcesInfo()` leaves out those that do not keep the process alive. */
function countTimers(): number {
  return queryObjects(Timeout, { format: 'count' })
}

await answerWith(measure, async ({ url }) => {
  await Promise.all(membersOf(url).map((member) => endServer({ url: member })))
})
