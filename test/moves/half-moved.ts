/** A slot that stays half moved for three ttls: what becomes of leases that are held there, and of those who want another. */
import { setTimeout } from 'node:timers/promises'
import { type Lease, LeaseManager } from 'leasewheel'
import { type RedisCluster, withRedisCluster } from '../support/redis-cluster.ts'
import type { RedisServer } from '../support/redis-server.ts'
import type { MovesArguments } from './arguments.ts'

/** All keys of the slot have this hash tag. */
const TAG = '{half}'
const LEASES = 40
const PREFIX = 'lease:'
const NODE_TIMEOUT = 15_000
/** What the acquisitions may take on a slow machine, in ms. */
const PATIENCE = 60_000

export interface HalfReport {
  /** Where the fence's key is meanwhile. */
  readonly fence: 'source' | 'target'
  readonly slot: number
  /** What those were told who wanted a lock at once, or undefined: they got it. */
  readonly told: string | undefined
  /** How long an `acquire` that began meanwhile waited after the move had ended, in ms. */
  readonly waited: number
  readonly violations: readonly string[]
}

export function leaveHalfMoved(fence: HalfReport['fence'], { ttl }: MovesArguments): Promise<HalfReport> {
  return withRedisCluster((cluster) => watch(cluster, fence, ttl), { nodeTimeout: NODE_TIMEOUT })
}

async function watch(cluster: RedisCluster, fence: HalfReport['fence'], ttl: number): Promise<HalfReport> {
  const violations: string[] = []
  const manager = new LeaseManager(cluster.client(), { ttl })
  manager.on('error', () => undefined)
  manager.on('lost', ({ lease, reason }) => violations.push(`${lease.key} was lost: ${reason}`))
  try {
    const slot = await cluster.slotOf(TAG)
    const source = await cluster.masterOf(slot)
    const target = cluster.nodes.slice(0, 3).find((node) => node !== source) as RedisServer
    const held = await manager.acquireMany(
      Array.from({ length: LEASES }, (_, number) => `held${TAG}:${number}`),
      {
        wait: PATIENCE,
      },
    )
    const fences = held.map((lease) => (lease as Lease).fence)

    // All but the leases: the fence's key, whatever its name.
    const moves = (key: string, index: number): boolean =>
      key.startsWith(PREFIX) ? index % 2 === 0 : fence === 'target'
    await cluster.migrate(slot, target, 'half', moves)
    const told = await manager.tryAcquire(`wanted${TAG}`).then(
      (lease) => (lease === null ? 'null' : undefined),
      (error: Error) => error.message,
    )
    const names = (text: string): boolean => new RegExp(`slot ${slot}\\b`).test(text)
    if (told !== undefined && !names(told))
      violations.push(`whoever wanted a lock was told nothing of slot ${slot}: ${told}`)
    const waiting = manager
      .acquire(`waited${TAG}`, { wait: Number.POSITIVE_INFINITY })
      .catch((error: unknown) => error as Error)
    await setTimeout(3 * ttl)
    for (const lease of held)
      if (!(lease as Lease).held) violations.push(`${(lease as Lease).key} is not held any more`)
    // Of two halves, the one is at the target.
    const [first] = held as [Lease]
    if (!(await first.release())) violations.push(`${first.key} was not released`)

    await cluster.migrate(slot, target, 'old')
    const settledAt = performance.now()
    const outcome = await Promise.race([waiting, setTimeout(2 * ttl, undefined)])
    if (outcome === undefined) violations.push(`whoever waited was not served within ${2 * ttl} ms after the move`)
    else if (outcome instanceof Error) {
      if (!names(outcome.message))
        violations.push(`whoever waited was told nothing of slot ${slot}: ${outcome.message}`)
    } else if (outcome.fence <= Math.max(...fences))
      violations.push(`fence ${outcome.fence} is not larger than those before`)
    return { fence, slot, told, waited: performance.now() - settledAt, violations }
  } finally {
    await manager.close()
  }
}
