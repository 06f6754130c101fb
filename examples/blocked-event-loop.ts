/**
 * Work that blocks the event loop for longer than the ttl: no timer fires meanwhile, and no renewal leaves. With a keeper, a thread of its own, the lock
 * is held all the same. It needs a server: in memory and on a cluster this example shows what happens without one.
 */
import assert from 'node:assert/strict'
import { setTimeout } from 'node:timers/promises'
import { Redis } from 'ioredis'
import { LeaseManager } from 'leasewheel'
import { connect, disconnect } from './support/connect.ts'

const TTL = 3_000
const connection = connect()
const hasKeeper = connection instanceof Redis
const leases = new LeaseManager(connection, { ttl: TTL, ...(hasKeeper ? { keeper: { maxBlocked: 60_000 } } : {}) })
// The keeper connects in the background. Until it has, nothing outlasts a blocked event loop.
while (hasKeeper && !leases.stats().keeper?.connected) await setTimeout(10)

const lease = await leases.acquire('report')

// The event loop has no turn until this is over.
const end = performance.now() + 2 * TTL
let rows = 0
while (performance.now() < end) rows += 1
console.log(`counted to ${rows} in ${2 * TTL} ms with a ttl of ${TTL} ms; the lock is held: ${lease.held}`)
assert.equal(lease.held, hasKeeper)

await leases.close()
disconnect(connection)
