/** The two connections of a manager break, in every order, and keys change before they are back. */
import { expect } from 'chai'
import type { Lease } from 'leasewheel'
import { type RedisServer, withRedis } from '../support/redis-server.ts'
import { withProxy } from '../support/proxy.ts'
import {
  connectionIds,
  Hourly,
  LASTING,
  type Session,
  until,
  untilRenewed,
  untilWatching,
  withClient,
  withManager,
} from './support.ts'

const COMMANDS = 'leasewheel'
const PUSHES = 'leasewheel:watch'
const KEYS = Array.from({ length: 50 }, (_, index) => `key ${index}`)

interface Pair {
  readonly server: RedisServer
  /** Holds what the other wants. */
  readonly holder: Session
  readonly waiter: Session
  readonly retry: Hourly
}

/** Two managers that are told of changes; who waits in the second would ask again only after an hour. */
function withPair(work: (pair: Pair) => Promise<void>): Promise<void> {
  const retry = new Hourly()
  // Nothing is renewed by the wheel for longer than a test takes.
  const options = { ...LASTING, random: () => 0 }
  return withRedis((server) =>
    withManager(server.url, options, (holder) =>
      withManager(server.url, { ...options, retry }, async (waiter) => {
        await untilWatching(holder.manager)
        await untilWatching(waiter.manager)
        await work({ server, holder, waiter, retry })
      }),
    ),
  )
}

/** Ends the connections that have these names and deletes the keys, with nothing in between. */
async function breakAndDelete(server: RedisServer, names: readonly string[], keys: readonly string[]): Promise<void> {
  const ids = (await Promise.all(names.map(async (name) => connectionIds(server, name)))).flat()
  await withClient({ port: server.port }, async (client) => {
    const transaction = client.multi()
    for (const id of ids) transaction.call('CLIENT', 'KILL', 'ID', id)
    if (keys.length > 0) transaction.del(...keys.map((key) => `lease:${key}`))
    await transaction.exec()
  })
}

describe('connections that break while locks are waited for and held', () => {
  for (const [what, names] of [
    ['the notification connection', [PUSHES]],
    ['the command connection', [COMMANDS]],
    ['both', [COMMANDS, PUSHES]],
  ] as const) {
    it(`P18 P21 P23 lose no wake-up, no loss and no lease with ${what}`, () =>
      withPair(async ({ server, holder, waiter, retry }) => {
        const kept = await holder.manager.acquireAll(KEYS)
        for (let turn = 0; turn < 4; turn += 1) {
          const keys = [`released ${turn}`, `deleted ${turn}`]
          const [released, deleted] = (await holder.manager.acquireAll(keys)) as [Lease, Lease]
          const calls = keys.map(async (key) => waiter.manager.acquire(key))
          await until('both wait', () => waiter.manager.stats().waiting === 2)
          if (turn % 2 === 0) await retry.untilTold(turn * 2 + 2)
          await breakAndDelete(server, names, [deleted.key])
          if (turn % 2 === 0) await Promise.all(calls.slice(1))
          await until('the lock is given back', async () => (await released.release()) || released.state !== 'held')
          for (const lease of await Promise.all(calls)) expect(lease.held).to.equal(true)
          await holder.journal.until('lost', deleted)
          expect(holder.journal.story(deleted).at(-1)).to.match(/^lost: (missing|taken)$/)
          await untilWatching(holder.manager)
          await untilWatching(waiter.manager)
        }
        expect(holder.journal.count('lost')).to.equal(4)
        await expectWatched(server, holder, kept)
        expectQuiet(holder)
        expectQuiet(waiter)
      }))
  }

  it('P18 P23 come back with all leases and waiters after any number of breaks', () =>
    withPair(async ({ server, holder, waiter, retry }) => {
      const kept = await holder.manager.acquireAll(KEYS)
      const call = waiter.manager.acquire('key 0')
      await retry.untilTold()
      for (let turn = 0; turn < 12; turn += 1) {
        const names = [[PUSHES], [COMMANDS], [COMMANDS, PUSHES]][turn % 3] as string[]
        await breakAndDelete(server, names, [])
        if (turn % 4 === 3) {
          await untilWatching(holder.manager)
          await untilWatching(waiter.manager)
        }
      }
      await untilWatching(holder.manager)
      await untilWatching(waiter.manager)
      expect(await connectionIds(server, PUSHES)).to.have.length(2)
      expect(await connectionIds(server, COMMANDS)).to.have.length(2)
      await until('a key is given back', async () => (await kept[0]?.release()) || kept[0]?.state !== 'held')
      expect((await call).held).to.equal(true)
      expect(holder.journal.count('lost')).to.equal(0)
      await expectWatched(server, holder, kept.slice(1))
      expectQuiet(holder)
      expectQuiet(waiter)
    }))

  it('P18 are mended without an error if the server forgot a live-looking one', () =>
    withRedis((server) =>
      withProxy(server.port, (proxy) =>
        withManager(
          `redis://127.0.0.1:${proxy.port}`,
          { ...LASTING, random: () => 0 },
          async ({ manager, journal }) => {
            await untilWatching(manager)
            proxy.silence(PUSHES)
            await breakAndDelete(server, [PUSHES, COMMANDS], [])
            await until('it is noticed', () => !manager.stats().watching)
            await untilWatching(manager)
            const lease = await manager.acquire('a')
            await server.command('DEL', 'lease:a')
            await journal.until('lost', lease)
            expect(journal.errors.map(({ message }) => message)).to.deep.equal([])
          },
        ),
      ),
    ))

  it('P4 P18 P23 lead to an emptied server: leases are lost, and waiters granted', () =>
    withPair(async ({ server, holder, waiter, retry }) => {
      const leases = await holder.manager.acquireAll(KEYS)
      const call = waiter.manager.acquire('key 0')
      await retry.untilTold()
      await server.restart()
      expect((await call).held).to.equal(true)
      for (const lease of leases) await holder.journal.until('lost', lease)
      const { missing, taken, expired } = holder.manager.stats().lost
      // Whether the other one had it by then is a matter of who was back first.
      expect([missing + taken, expired]).to.deep.equal([KEYS.length, 0])
      expect(taken).to.be.at.most(1)
      await untilWatching(holder.manager)
      await untilWatching(waiter.manager)
      // One that says why each connection broke or could not be made, however often that was tried.
      expect(holder.journal.errors.length).to.be.at.most(4)
    }))
})

describe('a network in which only the notification connection is silent', () => {
  it('P23 grants a released lock by the end of its remaining ttl', () =>
    withRedis((server) =>
      withProxy(server.port, (proxy) => {
        const retry = new Hourly()
        const url = `redis://127.0.0.1:${proxy.port}`
        return withManager(url, { ...LASTING, retry }, async ({ manager }) => {
          await untilWatching(manager)
          await withManager(server.url, { ...LASTING, autoRenew: false }, async ({ manager: other }) => {
            const lease = await other.acquire('a', { ttl: 1_500 })
            const call = manager.acquire('a')
            await retry.untilTold()
            expect(retry.contexts[0]?.remaining).to.be.within(0, 1_500)
            proxy.silence(PUSHES)
            await lease.release()
            expect((await call).held).to.equal(true)
            expect(manager.stats().wakeUps).to.deep.equal({ handOver: 0, change: 0, reconnect: 0, timeout: 1 })
          })
        })
      }),
    ))

  it('P18 has a loss noticed by the next renewal', () =>
    withRedis((server) =>
      withProxy(server.port, (proxy) =>
        withManager(
          `redis://127.0.0.1:${proxy.port}`,
          { ttl: 3_000, timeout: 3_000, wait: 15_000 },
          async (session) => {
            const { manager, journal } = session
            await untilWatching(manager)
            const lease = await manager.acquire('a', { ttl: 3_000 })
            proxy.silence(PUSHES)
            await server.command('DEL', 'lease:a')
            await journal.until('lost', lease)
            expect(journal.story(lease).at(-1)).to.equal('lost: missing')
          },
        ),
      ),
    ))
})

/** Whatever happened in between: all are held, and the server tells of their next change. */
async function expectWatched(
  server: RedisServer,
  { manager, journal }: Session,
  leases: readonly Lease[],
): Promise<void> {
  for (const lease of leases) await untilRenewed(lease)
  await until('nothing is in jeopardy', () => manager.stats().jeopardy === 0)
  const lost = journal.count('lost')
  const renewals = manager.stats().renewals
  await server.command('DEL', ...leases.map(({ key }) => `lease:${key}`))
  await until('all are lost', () => journal.count('lost') === lost + leases.length)
  expect(manager.stats().renewals, 'no renewal was needed for it').to.equal(renewals)
}

/** Connections that are ended by the server in an orderly way are no fault that anybody has to hear of more than once. */
function expectQuiet({ journal }: Session): void {
  expect(
    journal.errors.map(({ message }) => message).filter((message) => !/ECONNRESET|EPIPE/.test(message)),
  ).to.deep.equal([])
  expect(journal.errors.length).to.be.at.most(12)
}
