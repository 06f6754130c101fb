/**
 * What a consumer does with the modules that it has loaded its own way. Rejects if anything is not as documented, and leaves nothing
 * open, so that the consumer ends by itself.
 */
const assert = require('node:assert/strict')

async function scenario({ ioredis, leasewheel, memory, quorum }, url) {
  const clock = new memory.ManualClock()
  const store = new memory.MemoryStore({ clock })
  const inMemory = new leasewheel.LeaseManager(new memory.MemoryBackend({ store }), { clock })
  await holdALease(leasewheel, inMemory, () => clock.advance(200))

  if (quorum) {
    const members = [1, 2, 3].map(() => new memory.MemoryBackend({ store: new memory.MemoryStore({ clock }) }))
    await holdALease(leasewheel, new leasewheel.LeaseManager(quorum.quorum(members), { clock }), () =>
      clock.advance(200),
    )
  }

  const client = new ioredis.Redis(url)
  await holdALease(leasewheel, new leasewheel.LeaseManager(client), () => undefined)
  client.disconnect()
}

async function holdALease({ LeaseError, LockNotAcquiredError }, leases, pass) {
  const key = `consumer-${process.pid}`
  const renewal = new Promise((resolve) => leases.once('renewed', resolve))
  const lease = await leases.acquire(key, { ttl: 300 })
  assert.equal(lease.held, true)

  const refusal = await leases.acquire(key, { wait: 0 }).catch((error) => error)
  assert.ok(refusal instanceof LockNotAcquiredError)
  assert.ok(refusal instanceof LeaseError)
  // A minifier renames the class, and must not rename the error.
  assert.equal(refusal.name, 'LockNotAcquiredError')

  await pass()
  assert.equal((await renewal).lease, lease)
  assert.equal(await lease.release(), true)
  assert.equal(await leases.inspect(key), null)
  await leases.close()
}

module.exports = { scenario }
