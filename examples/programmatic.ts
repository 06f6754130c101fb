/**
 * Everything by hand: acquire a lock, look at it, renew it when the work has got somewhere, release it. With
 * `autoRenew: false` the lock ends with its ttl unless the work itself says that it goes on.
 */
import assert from 'node:assert/strict'
import { setTimeout as sleep } from 'node:timers/promises'
import { LeaseManager, LockNotHeldError } from 'leasewheel'
import { connect, disconnect } from './support/connect.ts'

const connections = [connect(), connect()] as const
const mine = new LeaseManager(connections[0], { ttl: 20_000, autoRenew: false })
const theirs = new LeaseManager(connections[1])

// One attempt: a lease, or null where somebody else holds the lock.
const lease = await mine.tryAcquire('report')
assert.ok(lease, 'nobody else wants this lock yet')
assert.equal(await theirs.tryAcquire('report'), null)

for (const page of [1, 2, 3]) {
  await sleep(200)
  const before = lease.remaining
  await lease.renew()
  console.log(`page ${page} is done; the lock had ${before.toFixed()} ms left and now has ${lease.remaining.toFixed()}`)
  assert.ok(lease.held && lease.remaining > before)
}

const view = await theirs.inspect('report')
assert.equal(view?.token, lease.token)
console.log('the other party can see who holds it')

// `true`: the key was ours and is deleted. `false`: it was not ours any more.
assert.equal(await lease.release(), true)
assert.equal(await lease.release(), false)
await assert.rejects(lease.renew(), LockNotHeldError)
console.log('released, once and for all')

{
  // Waits until the lock is free, or gives up after ten seconds. `await using` releases it at the end of the block.
  await using next = await theirs.acquire('report', { wait: 10_000 })
  console.log(`now the other party holds it; its fence is larger by ${next.fence - lease.fence}`)
  assert.ok(next.held && next.fence > lease.fence)
}
assert.equal(await mine.inspect('report'), null)
console.log('and has released it')

await mine.close()
await theirs.close()
disconnect(...connections)
