/**
 * What a consumer does with the modules that it has loaded its own way. Rejects if anything is not as documented, and leaves nothing
 * open, so that the consumer ends by itself.
 */
const assert = require('node:assert/strict')
const { once } = require('node:events')
const { createServer } = require('node:http')

async function scenario({ ioredis, leasewheel, memory, quorum, ...observers }, url) {
  const clock = new memory.ManualClock()
  const store = new memory.MemoryStore({ clock })
  const inMemory = new leasewheel.LeaseManager(new memory.MemoryBackend({ store }), { clock })
  const check = observe(inMemory, observers)
  await holdALease(leasewheel, inMemory, () => clock.advance(200))
  await check()

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

/** Attaches everything that shows what a manager does. @returns a function that checks what it showed. */
function observe(leases, { prometheus, opentelemetry, log, page, promClient, openTelemetryApi }) {
  const register = new promClient.Registry()
  const meter = openTelemetryApi.metrics.getMeter('consumer')
  const lines = []
  const write = (_facts, message) => lines.push(message)
  const stops = [
    prometheus.collect(leases, { register }),
    opentelemetry.observe(leases, { meter }),
    log.log(leases, { error: write, warn: write, info: write }),
  ]
  const live = page.page(leases)
  return async () => {
    for (const stop of stops) stop()
    assert.match(await requestOf(live, '/'), /<!doctype html>/)
    assert.match(await requestOf(live, '/page.js'), /live\.sse/)
    live.close()
  }
}

async function requestOf(handler, path) {
  const server = createServer(handler).listen(0, '127.0.0.1')
  await once(server, 'listening')
  const response = await fetch(`http://127.0.0.1:${server.address().port}${path}`, { headers: { connection: 'close' } })
  const text = await response.text()
  server.close()
  await once(server, 'close')
  return text
}

module.exports = { scenario }
