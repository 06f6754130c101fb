/** Thousands of waiters and leases: no requests while nothing changes, and no change is lost among them. */
import { setTimeout } from 'node:timers/promises'
import { expect } from 'chai'
import { ManagerClosedError } from 'leasewheel'
import { type RedisServer, withRedis } from '../support/redis-server.ts'
import { Hourly, LASTING, scriptCalls, until, untilWatching, withManager } from './support.ts'

/** For so long nothing happens, in ms. */
const QUIET = 1_000

function keysNamed(name: string, count: number): string[] {
  return Array.from({ length: count }, (_, index) => `${name} ${index}`)
}

/** Puts somebody else's token on each of the keys. @param ttl ms; default: none. */
async function occupy(server: RedisServer, keys: readonly string[], ttl?: number): Promise<void> {
  await server.command('MSET', ...keys.flatMap((key) => [`lease:${key}`, 'theirs']))
  if (ttl !== undefined) await Promise.all(keys.map(async (key) => server.command('PEXPIRE', `lease:${key}`, ttl)))
}

describe('many waiters', () => {
  for (const [what, keys, callers] of [
    ['ten thousand callers of one key', 1, 10_000],
    ['callers of twenty thousand keys', 20_000, 1],
  ] as const) {
    it(`P22 P24 ${what} cost no timers and no requests while nothing changes`, () =>
      withRedis((server) =>
        // No question of so many goes unanswered for so long, and would have to be repeated.
        withManager(
          server.url,
          { ...LASTING, timeout: 15_000, wait: Number.POSITIVE_INFINITY },
          async ({ manager }) => {
            await untilWatching(manager)
            const wanted = keysNamed('key', keys)
            await occupy(server, wanted)
            const calls = wanted.flatMap((key) => Array.from({ length: callers }, async () => manager.acquire(key)))
            const results = Promise.allSettled(calls)
            await until('the first of each line has been refused', () => {
              const { requests, roundTrip } = manager.stats()
              return requests > 0 && roundTrip.count >= requests
            })
            const before = await scriptCalls(server)
            await setTimeout(QUIET)
            const { waiting, queues, timers, asks } = manager.stats()
            expect({ waiting, queues, timers, asks }).to.deep.equal({
              waiting: keys * callers,
              queues: keys,
              timers: 1,
              asks: keys,
            })
            expect(await scriptCalls(server), 'questions while nothing changed').to.equal(before)
            await manager.close()
            for (const result of await results) {
              expect(result.status === 'rejected' && result.reason).to.be.instanceOf(ManagerClosedError)
            }
          },
        ),
      ))
  }

  it('P4 P6 P7 P23 find everything free after a FLUSHALL, and are all served', () =>
    withRedis((server) => {
      // What is renewed would be changed, and no renewal is due for as long as a test takes.
      const options = { ...LASTING, random: () => 0 }
      return withManager(server.url, options, (holder) => {
        const retry = new Hourly()
        return withManager(server.url, { ...options, retry }, async ({ manager, journal }) => {
          await untilWatching(holder.manager)
          await untilWatching(manager)
          const keys = keysNamed('key', 5_000)
          await holder.manager.acquireAll([...keys, 'one'])
          const calls = Promise.all(
            [...keys, ...Array.from({ length: 2_000 }, () => 'one')].map(async (key) =>
              manager.using(key, ({ held }) => expect(held).to.equal(true)),
            ),
          )
          await retry.untilTold(keys.length + 1)
          await server.command('FLUSHALL')
          await calls
          await until('the losses are known', () => holder.manager.size === 0)
          expect(holder.manager.stats().lost).to.include({ expired: 0, maxHold: 0 })
          expect(holder.manager.stats().renewals).to.equal(0)
          expect(manager.stats().acquired).to.equal(7_000)
          expect(manager.stats().wakeUps.timeout).to.equal(0)
          expect(journal.count('lost')).to.equal(0)
        })
      })
    }))

  it('P18 P20 P23 exceed the server’s room: no loss, no request storm, no missed key', () =>
    withRedis((server) =>
      withManager(server.url, { ...LASTING, random: () => 0 }, (holder) =>
        withManager(server.url, LASTING, async ({ manager }) => {
          await server.command('CONFIG', 'SET', 'tracking-table-max-keys', 100)
          await untilWatching(holder.manager)
          await untilWatching(manager)
          const held = await holder.manager.acquireAll(keysNamed('held', 1_000))
          const wanted = keysNamed('wanted', 1_000)
          await occupy(server, wanted, 4_000)
          const calls = Promise.all(wanted.map(async (key) => manager.acquire(key)))
          await until('all have been refused', () => manager.stats().asks >= wanted.length)
          // Every command makes the server forget some keys, and say so.
          const before = await scriptCalls(server)
          for (let turn = 0; turn < 20; turn += 1) {
            await server.command('PING')
            await setTimeout(QUIET / 20)
          }
          // Each of a thousand waiters may ask again twice at once and then about once a second, together with others.
          expect((await scriptCalls(server)) - before, 'questions in a second').to.be.below(500)
          expect(manager.stats().asks, 'keys in them').to.be.below(10_000)
          expect(held.every((lease) => lease.held)).to.equal(true)

          const others = wanted.filter((_, index) => index % 2 === 0)
          await server.command('DEL', ...others.map((key) => `lease:${key}`))
          // At the latest when the ttl of its last holder would have been over.
          for (const lease of await calls) expect(lease.held).to.equal(true)
          expect(holder.journal.count('lost')).to.equal(0)
          expect(holder.manager.stats().renewals, 'none was due').to.equal(0)
        }),
      ),
    ))

  it('P23 exceed the server’s tracking table: waiters for forgotten keys poll', () =>
    withRedis(async (server) => {
      await server.command('CONFIG', 'SET', 'tracking-table-max-keys', 10)
      const wanted = keysNamed('wanted', 300)
      await occupy(server, wanted)
      await withManager(server.url, LASTING, async ({ manager }) => {
        await untilWatching(manager)
        const calls = Promise.all(wanted.map(async (key) => manager.acquire(key)))
        calls.catch(() => undefined)
        await until('all have been refused', () => manager.stats().roundTrip.count >= 2)
        await server.command('DEL', ...wanted.map((key) => `lease:${key}`))
        await until('all are granted', () => manager.size === wanted.length)
        await calls
      })
    }))
})
