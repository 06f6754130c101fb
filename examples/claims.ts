/**
 * Standing claims: a worker wants a thousand partitions and gets those that are free. It gets the others as soon as they become free, and gets a
 * partition again that it lost. Nothing polls.
 */
import assert from 'node:assert/strict'
import { setTimeout as sleep } from 'node:timers/promises'
import { LeaseManager } from 'leasewheel'
import { connect, disconnect } from './support/connect.ts'
import { deleteKey } from './support/other-party.ts'

const PARTITIONS = Array.from({ length: 1_000 }, (_, number) => `partition:${number}`)

const connections = [connect(), connect()] as const
const other = new LeaseManager(connections[0], { ttl: 5_000 })
const leases = new LeaseManager(connections[1], { ttl: 5_000 })

// Another worker has a tenth of them.
await other.acquireMany(PARTITIONS.slice(0, 100))

const claim = leases.claim(PARTITIONS)
let losses = 0
claim.on('gained', ({ lease, signal }) => {
  // Consume the partition from here on, and stop when the signal aborts. A promise that this returns is waited for before the key is given back.
  if (lease.key === 'partition:500') console.log(`consuming ${lease.key}, ${signal.aborted ? 'not ' : ''}allowed`)
})
claim.on('lost', ({ lease, reason }) => {
  losses += 1
  if (reason !== 'closed') console.log(`lost ${lease.key}: ${reason}`)
})
while (claim.size < 900) await sleep(5)
console.log(`holds the ${claim.size} partitions that were free, waits for ${leases.stats().waiting}`)
assert.equal(claim.size, 900)

// The other worker leaves.
await other.close()
while (claim.size < PARTITIONS.length) await sleep(5)
console.log(`the other worker has left: holds ${claim.size}`)

// Somebody deletes a key. The claim loses that lease, and acquires the key again.
await deleteKey(connections[1], 'partition:500')
while (losses === 0 || claim.size < PARTITIONS.length) await sleep(5)
console.log(`holds ${claim.size} again`)

await claim.close()
assert.equal(leases.size, 0)
await leases.close()
disconnect(...connections)
