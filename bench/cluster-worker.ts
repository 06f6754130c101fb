/**
 * Holds locks with one library on a cluster, or on one server, and measures what that costs. Runs in a process of its own, and answers with a
 * `ClusterMeasurement`.
 */
import { setTimeout } from 'node:timers/promises'
import { Redis } from 'ioredis'
import { answerWith } from './child-process.ts'
import type { ClusterJob, ClusterMeasurement } from './cluster-measurement.ts'
import { endServer } from './end-server.ts'
import { sum } from './figures.ts'
import { findKeys, makeKeys } from './keys.ts'
import { loadLibrary } from './load-library.ts'
import { countersBetween, readServerCounters } from './server-counters.ts'

const WARM_UP_LOCKS = 2_000
/** In ms: what is due within a third of the ttl is renewed meanwhile, and so compiled. */
const WARM_UP_HOLD = 1_000
/** Of a third of the ttl: from the acquisitions to the window. Each lock has been renewed once by then. */
const SETTLING = 1.5

async function measure({ library, urls, locks, ttl, seconds }: ClusterJob): Promise<ClusterMeasurement> {
  // Connections of its own, so that no question waits behind the library's commands.
  const controls = urls.map((url) => new Redis(url))
  const holder = await (await loadLibrary(library)).open(urls.join(','), ttl)
  await holder.acquireAll(makeKeys('warm-up:', WARM_UP_LOCKS))
  await setTimeout(WARM_UP_HOLD)
  await holder.releaseAll()

  await holder.acquireAll(makeKeys('benched:', locks))
  await setTimeout((ttl / 3) * SETTLING)

  const before = await Promise.all(controls.map(readServerCounters))
  const cpuBefore = process.cpuUsage()
  const startedAt = performance.now()
  await setTimeout(seconds * 1_000)
  const { user, system } = process.cpuUsage(cpuBefore)
  const elapsed = (performance.now() - startedAt) / 1_000
  const after = await Promise.all(controls.map(readServerCounters))

  const alive = await Promise.all(controls.map(async (control) => (await findKeys(control, 'benched:')).size))
  const lost = holder.lost()
  await holder.close()
  for (const control of controls) control.disconnect()
  const servers = after.map((counters, index) => countersBetween(before[index] as typeof counters, counters))
  return { locks, ttl, seconds: elapsed, nodeCpu: user + system, servers, lost, alive: sum(alive) }
}

await answerWith(measure, async ({ urls }) => {
  await Promise.all(urls.map((url) => endServer({ url })))
})
