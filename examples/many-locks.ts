/**
 * A worker with many locks: two workers share a thousand partitions, each partition belongs to one of them, and when one
 * worker leaves the other takes over. Every lock is renewed for as long as it is held, by one timer and few commands.
 */
import assert from 'node:assert/strict'
import { setTimeout as sleep } from 'node:timers/promises'
import { LeaseManager } from 'leasewheel'
import { connect, disconnect } from './support/connect.ts'

const PARTITIONS = Array.from({ length: 1_000 }, (_, number) => `partition:${number}`)

// Two processes, as far as the locks are concerned.
const connections = [connect(), connect()] as const
const first = new LeaseManager(connections[0], { ttl: 10_000 })
const second = new LeaseManager(connections[1], { ttl: 10_000 })

/** Takes as many of the partitions as are free, up to a limit. */
async function take(worker: LeaseManager, limit: number): Promise<number> {
  const wanted = PARTITIONS.filter((partition) => worker.get(partition) === undefined).slice(0, limit)
  const taken = await worker.acquireMany(wanted)
  return taken.filter((lease) => lease !== null).length
}

console.log(`the first worker takes ${await take(first, 600)} partitions`)
console.log(`the second worker takes ${await take(second, 1_000)}, which is what is left`)
assert.deepEqual([first.size, second.size], [600, 400])

// They work, while their locks are renewed in the background: each within a third of its ttl.
while (first.stats().renewals < first.size) await sleep(100)
const { held, renewals, requests, timers } = first.stats()
console.log(`the first worker holds ${held} locks: ${renewals} renewals, ${requests} commands, ${timers} timer`)
assert.equal(held, 600)
assert.equal(timers, 1)
assert.ok(requests < renewals, 'one command renews many locks')

// The first worker leaves. Its locks are free at once, not only when their ttl is over.
await first.close()
console.log(`the first worker has left; the second takes ${await take(second, 1_000)} more`)
assert.equal(second.size, PARTITIONS.length)

await second.close()
disconnect(...connections)
