/**
 * One leader: two schedulers stand for election, and one of them plans the jobs. When it resigns, the other leads within milliseconds. The signal of
 * a term aborts when the term is over, and its fence lets a store refuse a leader of the past.
 */
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { setTimeout as sleep } from 'node:timers/promises'
import { LeaseManager } from 'leasewheel'
import { connect, disconnect } from './support/connect.ts'

// Two processes, as far as the election is concerned.
const connections = [connect(), connect()] as const
const [first, second] = connections.map(
  (connection, index) => new LeaseManager(connection, { ttl: 5_000, owner: `scheduler-${index + 1}` }),
) as [LeaseManager, LeaseManager]

/** The largest fence that a plan came with. A real store keeps it beside the data. */
let lastFence = 0
const plans: string[] = []

function stand(leases: LeaseManager, name: string) {
  return leases.elect('scheduler', {
    elected: async ({ fence, signal }) => {
      console.log(`${name} leads, with fence ${fence > lastFence ? 'larger than' : 'NOT larger than'} the last one`)
      assert.ok(fence > lastFence)
      lastFence = fence
      while (!signal.aborted) {
        plans.push(name)
        await Promise.race([sleep(20), once(signal, 'abort')])
      }
      console.log(`${name} has put its work away`)
    },
    deposed: (reason) => console.log(`${name} leads no more: ${reason}`),
  })
}

const one = stand(first, 'the first')
while (!one.isLeader) await sleep(5)
const other = stand(second, 'the second')
await sleep(100)
assert.equal(other.isLeader, false)
const leader = await other.leader()
console.log(`the second asks who leads: ${leader?.owner}`)
assert.equal(leader?.owner, 'scheduler-1')

// Resolves once the work has ended and the lock is free.
await one.resign()
while (!other.isLeader) await sleep(1)
assert.deepEqual([one.isLeader, other.isLeader], [false, true])

// A closing manager ends its elections, waits for the work, and lets others lead.
await second.close()
while (!one.isLeader) await sleep(10)
console.log(`the second has closed: the first leads again`)
assert.ok(plans.includes('the first') && plans.includes('the second'))

await first.close()
disconnect(...connections)
