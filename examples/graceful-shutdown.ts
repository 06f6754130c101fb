/**
 * Shutting down: at SIGTERM the worker takes on nothing new, finishes what it is doing, and closes its manager. That
 * releases all its locks, so that the next worker need not wait until their ttl is over.
 */
import assert from 'node:assert/strict'
import { setTimeout as sleep } from 'node:timers/promises'
import { LeaseManager } from 'leasewheel'
import { connect, disconnect } from './support/connect.ts'

const connections = [connect(), connect()] as const
const leases = new LeaseManager(connections[0], { ttl: 30_000 })
const shutdown = new AbortController()
process.once('SIGTERM', () => {
  console.log('SIGTERM: finishing what is under way')
  shutdown.abort()
})

/** Somebody stops this worker while it works. */
setTimeout(() => process.kill(process.pid, 'SIGTERM'), 300)

// A lock that the worker keeps for all its life, and one for each job.
await leases.acquire('shard:7')
let done = 0
while (!shutdown.signal.aborted) {
  await leases.using(`job:${done}`, async () => {
    await sleep(50)
    done += 1
  })
}

await leases.close()
console.log(`${done} jobs are done, none was cut short; everything is released`)
assert.equal(leases.size, 0)
assert.equal(leases.stats().released, done + 1)

// The next worker finds the lock free, 30 seconds before its ttl would have been over.
const next = new LeaseManager(connections[1])
assert.ok(await next.tryAcquire('shard:7'))
console.log('the next worker holds shard:7')
await next.close()
disconnect(...connections)
