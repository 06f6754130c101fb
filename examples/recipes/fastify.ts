/**
 * Fastify: a route that works under a lock, what it answers when there is none to be had, and a shutdown that gives no
 * lock back before the work under it has ended (docs/recipes/fastify.md).
 */
import assert from 'node:assert/strict'
import { EventEmitter, once } from 'node:events'
import { Agent, type IncomingMessage, request } from 'node:http'
import { text } from 'node:stream/consumers'
import { setTimeout as sleep } from 'node:timers/promises'
// #region app
import fastify, { type FastifyError, type FastifyInstance } from 'fastify'
import { type Lease, LeaseManager } from 'leasewheel'

const STATUS: Readonly<Record<string, number>> = {
  ERR_NOT_ACQUIRED: 409, // another request ships this order
  ERR_UNAVAILABLE: 503, // Redis did not answer
  ERR_CLOSED: 503, // this process shuts down
  ERR_LEASE_LOST: 500, // the lock was lost under way: part of the work may be done
}

export function buildApp(
  leases: LeaseManager,
  ship: (order: string, lease: Lease) => Promise<object>,
): FastifyInstance {
  const app = fastify()
  let isClosing = false

  app.post<{ Params: { order: string } }>('/orders/:order/ship', ({ params: { order } }) =>
    leases.using(`order:${order}`, (lease) => ship(order, lease), { wait: 2_000 }),
  )
  app.setErrorHandler<FastifyError>((error, _request, reply) => {
    const status = STATUS[error.code] ?? error.statusCode ?? 500
    if (status === 409 || status === 503) reply.header('retry-after', 1)
    return reply.code(status).send({ code: error.code, message: error.message })
  })

  app.addHook('preClose', async () => {
    isClosing = true
    await leases.close({ drain: 10_000, timeout: 5_000 })
  })
  // A client's connection that is busy while the server closes would be kept alive for 72 s, and the server with it.
  app.addHook('onSend', async (_request, reply) => {
    if (isClosing) reply.header('connection', 'close')
  })
  return app
}
// #endregion app

const url = process.env.REDIS_URL ?? 'redis://localhost:6379'
const leases = new LeaseManager(url)
const other = new LeaseManager(url)

/** Work that ends when this program says so, and stops when its lock is lost. */
const shipped: string[] = []
const packed = new EventEmitter()
async function ship(order: string, { signal, fence }: Lease): Promise<object> {
  try {
    if (order !== 'small') await once(packed, order, { signal })
  } catch {
    throw signal.reason
  }
  shipped.push(order)
  return { order, fence }
}

const app = buildApp(leases, ship)
// The answer takes a while after the work, too: it is under way when the server closes.
app.addHook('preSerialization', async (_request, _reply, payload) => {
  await sleep(100)
  return payload
})
const closed = new Promise<number>((resolve) => app.addHook('onClose', async () => resolve(performance.now())))
// #region shutdown
process.once('SIGTERM', () => void app.close())
// #endregion shutdown
const address = await app.listen({ host: '127.0.0.1', port: 0 })
const agent = new Agent({ keepAlive: true })

async function post(
  order: string,
): Promise<{ status: number | undefined; body: Record<string, unknown>; after: number }> {
  const startedAt = performance.now()
  const message = request(`${address}/orders/${order}/ship`, { method: 'POST', agent }).end()
  const [response] = (await once(message, 'response')) as [IncomingMessage]
  const body = JSON.parse(await text(response)) as Record<string, unknown>
  return { status: response.statusCode, body, after: performance.now() - startedAt }
}

// In the ordinary run of things: an answer, and a lock that is free afterwards.
const { status, body } = await post('small')
assert.equal(status, 200)
assert.equal(body['order'], 'small')
assert.equal(await other.inspect('order:small'), null)

// Redis does not answer.
const away = new LeaseManager('redis://127.0.0.1:1', { timeout: 200 })
away.on('error', (error) => console.log(error.message))
const without = buildApp(away, ship)
const unavailable = without.inject({ method: 'POST', url: '/orders/small/ship' })

// Another process ships the order: after `wait` the answer is 409.
const held = await other.acquire('order:busy')
const busy = await post('busy')
assert.deepEqual([busy.status, busy.body['code']], [409, 'ERR_NOT_ACQUIRED'])
assert.ok(busy.after >= 2_000)
assert.ok(!shipped.includes('busy'))
console.log(`busy: ${busy.status} after ${Math.round(busy.after)} ms`)
await held.release()

const { statusCode, headers } = await unavailable
assert.deepEqual([statusCode, headers['retry-after']], [503, '1'])
console.log(`no Redis: ${statusCode}`)
await without.close()

// An operator takes the lock away while the work is under way: the work stops, and the answer is 500.
const robbed = post('robbed')
while (leases.get('order:robbed') === undefined) await sleep(5)
await other.forceRelease('order:robbed')
const lost = await robbed
assert.deepEqual([lost.status, lost.body['code']], [500, 'ERR_LEASE_LOST'])
assert.ok(!shipped.includes('robbed'))
console.log(`lost: ${lost.status} after ${Math.round(lost.after)} ms`)

// The process is told to shut down while one request works and one waits for a lock. A third process wants the first's lock.
const blocker = await other.acquire('order:wanted')
const working = post('large')
const waiting = post('wanted')
while (leases.get('order:large') === undefined || leases.stats().waiting === 0) await sleep(5)
const next = other
  .acquire('order:large', { wait: Number.POSITIVE_INFINITY })
  .then((lease) => ({ lease, wasShipped: shipped.includes('large') }))
const stoppedAt = performance.now()
process.kill(process.pid, 'SIGTERM')
const turnedAway = await waiting
assert.deepEqual([turnedAway.status, turnedAway.body['code']], [503, 'ERR_CLOSED'])
assert.ok(!shipped.includes('large'), 'who waits for a lock is turned away at once')
assert.equal((await post('small')).status, 503, 'and so is who comes now')
packed.emit('large')
const finished = await working
assert.equal(finished.status, 200)
const { lease, wasShipped } = await next
assert.ok(wasShipped, 'no lock changes hands before the work has ended')
assert.ok(lease.fence > (finished.body['fence'] as number))
const duration = (await closed) - stoppedAt
// No connection is kept alive.
assert.ok(duration < 60_000, `closing took ${duration} ms`)
assert.equal(leases.size, 0)
console.log(`closed in ${Math.round(duration)} ms, with the work done and no lock changing hands before`)

// Work that takes longer than the drain, which a second call of `close` shortens here.
const impatient = new LeaseManager(url)
const slow = buildApp(impatient, ship)
const slowWork = slow.inject({ method: 'POST', url: '/orders/slow/ship' })
while (impatient.get('order:slow') === undefined) await sleep(5)
const slowEnd = slow.close()
await impatient.close({ drain: 0 })
assert.equal((await slowWork).json<{ code: string }>().code, 'ERR_CLOSED')
assert.equal((await slowWork).statusCode, 503)
await slowEnd
assert.ok(!shipped.includes('slow'))
console.log('drain over: 503')

await blocker.release()
await other.close()
agent.destroy()
