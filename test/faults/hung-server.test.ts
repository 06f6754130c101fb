/** A server that is stopped (SIGSTOP): its connections stay open, requests pile up in them, and nothing is answered. */
import { setTimeout } from 'node:timers/promises'
import { expect } from 'chai'
import { type Lease, LeaseLostError, LockNotHeldError, UnavailableError } from 'leasewheel'
import { type RedisServer, withRedis } from '../support/redis-server.ts'
import {
  clock,
  exists,
  expiredKeys,
  heldFor,
  IMPATIENT,
  rejectionOf,
  type Session,
  scriptCalls,
  until,
  untilRenewed,
  withManager,
} from '../redis/support.ts'

/** Of leases that are to be lost: short, but long enough for a renewal to fail before. ms. */
const TTL = 2_000
/** Given to a key behind its holder's back: it is there long after the lease is over. ms. */
const VERY_LONG = 600_000

/** Two leases that have never been renewed, on a server that hangs from now on, and on which their keys will be for very long. */
async function holdFromHungServer(server: RedisServer, { manager, journal }: Session): Promise<[Lease, Lease]> {
  for (;;) {
    const [watched, unwatched] = await manager.acquireAll(['watched', 'unwatched'])
    if (!watched || !unwatched) expect.fail('expected two leases')
    const { requests } = manager.stats()
    for (const key of ['lease:watched', 'lease:unwatched']) await server.command('PEXPIRE', key, VERY_LONG)
    server.pause()
    if (manager.stats().requests === requests) return [watched, unwatched]
    // This machine is so slow that a renewal was sent meanwhile.
    server.resume()
    await Promise.all([watched.release(), unwatched.release()])
    journal.entries.length = 0
  }
}

describe('a server that hangs', () => {
  for (const [what, timeout, story] of [
    ['renewals time out', 200, ['acquired', 'jeopardy', 'lost: expired']],
    ['one renewal pends', TTL, ['acquired', 'lost: expired']],
  ] as const) {
    it(`P1 P2 P3 P15 P18 loses leases at their deadline despite their keys: ${what}`, () =>
      withRedis((server) =>
        withManager(server.url, { ttl: TTL, timeout, wait: 15_000, watch: false, random: () => 0 }, async (session) => {
          const { manager, journal } = session
          const [watched, unwatched] = await holdFromHungServer(server, session)
          const { signal } = unwatched
          // Whatever was ever confirmed was sent before this.
          const latestDeadline = clock.now() + heldFor(TTL)
          if (timeout < TTL) for (const lease of [watched, unwatched]) void rejectionOf(lease.renew())

          for (;;) {
            const readAt = clock.now()
            if (!watched.held) break
            expect(readAt, 'held at').to.be.below(latestDeadline)
            expect(watched.remaining).to.be.at.most(latestDeadline - readAt)
            await setTimeout(1)
          }
          expect(watched.remaining).to.equal(0)
          // Nobody looks at this one, and it is told all the same.
          await journal.until('lost', unwatched)
          expect(signal.reason).to.be.instanceOf(LeaseLostError)
          expect(manager.size).to.equal(0)

          server.resume()
          for (const lease of [watched, unwatched]) {
            await until(
              `the key of \`${lease.key}\` is gone`,
              async () => !(await exists(server, `lease:${lease.key}`)),
            )
            expect(journal.story(lease)).to.deep.equal(story)
            expect(lease.held).to.equal(false)
            expect(lease.state).to.equal('lost')
            expect(manager.get(lease.key)).to.equal(undefined)
            expect(await rejectionOf(lease.renew())).to.be.instanceOf(LockNotHeldError)
            expect(await lease.release()).to.equal(false)
          }
          expect(await expiredKeys(server), 'keys were deleted, not left to expire').to.equal(0)
          await until('all is undone', () => manager.stats().undoing === 0)
          expect(await server.command('DBSIZE'), 'all but the fence counter').to.equal(1)
        }),
      ))
  }

  it('P21 gets a bounded number of requests, one renewal of a lease at a time', () =>
    withRedis((server) =>
      withManager(server.url, IMPATIENT, async ({ manager }) => {
        const lease = await manager.acquire('a')
        await server.command('CONFIG', 'RESETSTAT')
        server.pause()
        const failure = await rejectionOf(Promise.all(Array.from({ length: 1_000 }, async () => lease.renew())))
        expect(failure).to.be.instanceOf(UnavailableError)
        const { requests } = manager.stats()
        server.resume()
        await untilRenewed(lease)
        expect(requests, 'requests of an acquire and a renewal').to.be.at.most(5)
        expect(await scriptCalls(server)).to.be.at.most(20)
      }),
    ))

  it('makes an acquire fail as unavailable, not as refused', () =>
    withRedis((server) =>
      withManager(server.url, IMPATIENT, async ({ manager }) => {
        await warmUp(server, async () => manager.acquire('a'))
        server.pause()
        const calls = [
          manager.tryAcquire('b'),
          manager.acquire('c', { wait: 700 }),
          manager.acquireMany(['d', 'e']),
          manager.acquireAll(['f', 'g'], { wait: 700 }),
          manager.inspect('a'),
        ].map(async (call) => rejectionOf(call))
        for (const call of calls) expect(await call).to.be.instanceOf(UnavailableError)
        server.resume()
      }),
    ))

  for (const [state, warm] of [
    ['with the script', true],
    ['without the script', false],
  ] as const) {
    it(`P11 keeps no key of a timed-out acquire on a server ${state}`, () =>
      withRedis((server) =>
        // The connection is more patient than the callers: it is still there when the server comes to their requests.
        withManager(server.url, { ...IMPATIENT, timeout: 5_000 }, async ({ manager }) => {
          await warmUp(server, async () => manager.acquire('warm'), warm)
          server.pause()
          const calls = ['a', 'b', 'c'].map(async (key) => rejectionOf(manager.tryAcquire(key, { timeout: 300 })))
          for (const call of calls) expect(await call).to.be.instanceOf(UnavailableError)
          server.resume()
          await untilUndone(server, ['a', 'b', 'c'])
        }),
      ))

    it(`P11 keeps no key of an aborted acquire on a server ${state}`, () =>
      withRedis((server) =>
        withManager(server.url, { ...IMPATIENT, timeout: 5_000 }, async ({ manager, journal }) => {
          await warmUp(server, async () => manager.acquire('warm'), warm)
          server.pause()
          const controller = new AbortController()
          const calls = [
            manager.acquire('a', { signal: controller.signal }),
            manager.tryAcquire('b', { signal: controller.signal }),
            manager.using('c', () => expect.fail('nobody holds the lock'), { signal: controller.signal }),
          ].map(async (call) => rejectionOf(call))
          await setTimeout(50)
          const reason = new Error('on purpose')
          controller.abort(reason)
          for (const call of calls) expect(await call).to.equal(reason)
          server.resume()
          await untilUndone(server, ['a', 'b', 'c'])
          expect(journal.story()).to.deep.equal(['acquired', 'released'])
        }),
      ))
  }

  it('P5 P12 lets a release return in time, and deletes the key later', () =>
    withRedis((server) =>
      withManager(server.url, IMPATIENT, async ({ manager, journal }) => {
        const lease = await manager.acquire('a')
        server.pause()
        const released = lease.release()
        expect(lease.held).to.equal(false)
        expect(await released).to.equal(false)
        expect(journal.story(lease)).to.deep.equal(['acquired', 'released'])
        server.resume()
        await until('the key is gone', async () => !(await exists(server, 'lease:a')))
        expect(await expiredKeys(server)).to.equal(0)
        const next = await manager.acquire('a')
        expect(next.fence).to.be.greaterThan(lease.fence)
      }),
    ))
})

/** Makes the connection ready, and lets the server know the scripts or forget them. */
async function warmUp(
  server: RedisServer,
  acquire: () => Promise<{ release(): Promise<boolean> }>,
  warm = true,
): Promise<void> {
  const lease = await acquire()
  await lease.release()
  if (!warm) await server.command('SCRIPT', 'FLUSH')
  await server.command('DEL', 'leasewheel:fence')
}

/** The acquires whose callers gave up were carried out all the same, and then undone: by deletion, not by expiry. */
async function untilUndone(server: RedisServer, keys: readonly string[]): Promise<void> {
  await until('the acquires are carried out', () => exists(server, 'leasewheel:fence'))
  for (const key of keys) await until(`\`${key}\` is gone`, async () => !(await exists(server, `lease:${key}`)))
  expect(await expiredKeys(server)).to.equal(0)
}
