/** At most so many at a time: twelve jobs of two processes share three permits, and one that needs two of them at once. */
import assert from 'node:assert/strict'
import { setTimeout } from 'node:timers/promises'
import { LeaseManager } from 'leasewheel'
import { connect, disconnect } from './support/connect.ts'

const PERMITS = 3

const connections = [connect(), connect()]
const processes = connections.map((connection) => new LeaseManager(connection))
const [first, second] = processes as [LeaseManager, LeaseManager]
let running = 0
let most = 0

/** A call of somebody's service, which can take three at a time. */
async function job(weight: number): Promise<void> {
  running += weight
  most = Math.max(most, running)
  await setTimeout(20)
  running -= weight
}

await Promise.all(
  Array.from({ length: 12 }, (_, index) => {
    const weight = index === 5 ? 2 : 1
    return (index % 2 === 0 ? first : second).using('service', () => job(weight), { permits: PERMITS, weight })
  }),
)
assert.ok(most <= PERMITS, 'never more than there are')
console.log(`12 jobs are done, and at most ${most} ran at a time`)

const lease = await first.acquire('service', { permits: PERMITS })
const seen = await second.inspect('service')
for (const { owner, weight } of seen?.joint?.holders ?? [])
  console.log(`${owner ?? 'somebody'} has ${weight} of the permits`)
await lease.release()

await Promise.all(processes.map((leases) => leases.close()))
disconnect(...connections)
