/** Calls functions as a platform does: each line of stdin is an event, each line of stdout an answer. lambda.ts freezes it. */
import { createInterface } from 'node:readline'
import { type Lease, LeaseManager } from 'leasewheel'
import { deliver, reserve, ship } from './functions.ts'

let kept: Lease | undefined

const functions: Readonly<Record<string, (event: never) => Promise<unknown>>> = {
  ship,
  reserve,
  deliver,
  /** What not to do: the answer goes out, and the lease stays. */
  async keep({ order, ttl }: { order: string; ttl: number }) {
    const leases = new LeaseManager(process.env.REDIS_URL ?? 'redis://localhost:6379', { ttl })
    leases.on('lost', ({ lease, reason }) => console.log(`lost ${lease.key}: ${reason}`))
    kept = await leases.acquire(`order:${order}`)
    kept.signal.addEventListener('abort', () => console.log('aborted'))
    return 'kept'
  },
  /** The first thing that runs after a thaw. */
  async look() {
    const held = kept?.held
    return { held, isAborted: kept?.signal.aborted, isReleased: await kept?.release() }
  },
}

for await (const line of createInterface({ input: process.stdin })) {
  const { id, name, event } = JSON.parse(line) as { id: number; name: string; event: never }
  const answer = await functions[name]?.(event).catch((error: { code?: string }) => ({ code: error.code }))
  console.log(`answer ${id} ${JSON.stringify(answer)}`)
}
