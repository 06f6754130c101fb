/** Two managers on connections of their own, as in two processes. */
import { expect } from 'chai'
import { fixedInterval, type Lease, LockNotAcquiredError } from 'leasewheel'
import { type RedisServer, withRedis } from '../support/redis-server.ts'
import { LASTING, rejectionOf, type Session, untilRenewed, withManager } from './support.ts'

/** Runs `work` with two managers on one server. */
function withTwo(work: (first: Session, second: Session, server: RedisServer) => Promise<void>): Promise<void> {
  return withRedis((server) =>
    withManager(server.url, LASTING, (first) =>
      withManager(server.url, LASTING, (second) => work(first, second, server)),
    ),
  )
}

describe('two managers', () => {
  it('P7 exclude each other', () =>
    withTwo(async (first, second) => {
      const lease = await first.manager.acquire('a')
      expect(await second.manager.tryAcquire('a')).to.equal(null)
      expect(await second.manager.acquireMany(['a', 'b'])).to.satisfy(
        ([a, b]: (Lease | null)[]) => a === null && b?.held,
      )
      const failure = await rejectionOf(second.manager.acquire('a', { wait: 100 }))
      expect(failure).to.be.instanceOf(LockNotAcquiredError)
      expect((failure as LockNotAcquiredError).remaining).to.be.within(1, lease.ttl)
      expect(await second.manager.inspect('a')).to.include({ token: lease.token, lease: undefined })
      expect(second.manager.get('a')).to.equal(undefined)

      const next = second.manager.acquire('a')
      expect(await lease.release()).to.equal(true)
      expect((await next).held).to.equal(true)
      expect((await next).fence).to.be.greaterThan(lease.fence)
      expect(await first.manager.tryAcquire('a')).to.equal(null)
    }))

  it('P5 do not release what the other has acquired since', () =>
    withTwo(async (first, second, server) => {
      const lease = await first.manager.acquire('a')
      await server.command('DEL', 'lease:a')
      const next = await second.manager.acquire('a')
      expect(await lease.release()).to.equal(false)
      // It may have been told between the two.
      expect(first.journal.story(lease).at(-1)).to.match(/^lost: (taken|missing)$/)
      await untilRenewed(next)
    }))

  it('P6 P7 never share a lock, and each holder has a larger fence', () =>
    withTwo(async (first, second) => {
      const keys = ['a', 'b', 'c']
      const holders = new Map<string, Lease>()
      const fences = new Map<string, number>(keys.map((key) => [key, 0]))
      let turns = 0
      const takeTurns = async ({ manager }: Session, key: string): Promise<void> => {
        for (let turn = 0; turn < 10; turn += 1) {
          await manager.using(
            key,
            async (lease) => {
              expect(holders.get(key)?.held ?? false, 'somebody else holds it').to.equal(false)
              expect(lease.fence).to.be.greaterThan(fences.get(key) as number)
              holders.set(key, lease)
              fences.set(key, lease.fence)
              turns += 1
              await lease.renew()
              expect(holders.get(key)).to.equal(lease)
              holders.delete(key)
            },
            { retry: fixedInterval({ interval: 5 }), wait: Number.POSITIVE_INFINITY },
          )
        }
      }
      const callers = [first, second].flatMap((session) =>
        keys.flatMap((key) => [1, 2].map(() => takeTurns(session, key))),
      )
      await Promise.all(callers)
      expect(turns).to.equal(120)
      expect(first.journal.count('lost') + second.journal.count('lost')).to.equal(0)
    }))

  it('P7 divide many keys between them, none of them twice', () =>
    withTwo(async (first, second, server) => {
      const keys = Array.from({ length: 2_000 }, (_, index) => `key ${index}`)
      const leases = (await Promise.all([first, second].map(async ({ manager }) => manager.acquireMany(keys)))).flat()
      const held = leases.filter((lease) => lease !== null)
      expect(new Set(held.map(({ key }) => key)).size).to.equal(keys.length)
      expect(held).to.have.length(keys.length)
      expect(await server.command('DBSIZE')).to.equal(keys.length + 1)
      for (const lease of held.filter((_, index) => index % 100 === 0)) {
        expect(await server.command('GET', `lease:${lease.key}`)).to.equal(lease.token)
      }
    }))
})
