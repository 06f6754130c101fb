/** Renews and acquires as fast as it can, with and without replicas that have to acknowledge it. Runs in a process of its own. */
import { Redis } from 'ioredis'
import { LeaseManager } from 'leasewheel'
import { answerWith } from './child-process.ts'
import { endServer } from './end-server.ts'
import { makeKeys } from './keys.ts'
import type { ReplicasJob, ReplicasMeasurement } from './replicas-measurement.ts'
import { takeTime } from './stopwatch.ts'

/** Nothing is renewed by itself, and nothing is given up, while this measures. */
const OPTIONS = { ttl: 600_000, timeout: 60_000, watch: false, random: () => 0 }

async function measure({ url, locks, seconds, pairs, replicas }: ReplicasJob): Promise<ReplicasMeasurement> {
  const control = new Redis(url)
  const manager = new LeaseManager(url, { ...OPTIONS, replicas })
  const leases = (await manager.acquireMany(makeKeys('benched:', locks))).filter((lease) => lease !== null)
  const renewAll = (): Promise<unknown> => Promise.all(leases.map((lease) => lease.renew()))
  // Leases that were acquired apart are renewed together from then on.
  await renewAll()
  await renewAll()
  globalThis.gc?.()
  let turns = 0
  const renewing = await takeTime(control, async () => {
    const endAt = performance.now() + seconds * 1_000
    while (performance.now() < endAt) {
      await renewAll()
      turns += 1
    }
  })
  const acquiring = await takeTime(control, async () => {
    for (const key of makeKeys('warm-up:', pairs)) await (await manager.acquire(key)).release()
  })
  await manager.close()
  control.disconnect()
  const renewals = turns * leases.length
  return {
    renewalsPerSecond: renewals / renewing.seconds,
    nodeCpu: renewing.nodeCpu / renewals,
    redisCpu: renewing.redisCpu / renewals,
    pair: (acquiring.seconds * 1_000) / pairs,
  }
}

await answerWith(measure, endServer)
