/** Keys that another client deletes or overwrites. */
import { expect } from 'chai'
import { type Lease, LeaseLostError, LockNotHeldError } from 'leasewheel'
import { type RedisServer, withRedis } from '../support/redis-server.ts'
import { exists, LASTING, rejectionOf, untilRenewed, withManager } from './support.ts'

/** What others may put on a key, and what must still be there afterwards. */
const FOREIGN_VALUES: readonly {
  readonly what: string
  readonly put: readonly [string, ...(string | number)[]]
  readonly look: readonly [string, ...(string | number)[]]
  readonly seen: unknown
}[] = [
  { what: 'a token without a ttl', put: ['SET', 'lease:a', 'theirs'], look: ['GET', 'lease:a'], seen: 'theirs' },
  {
    what: 'a token with a ttl',
    put: ['SET', 'lease:a', 'theirs', 'PX', 900_000],
    look: ['GET', 'lease:a'],
    seen: 'theirs',
  },
  { what: 'an empty string', put: ['SET', 'lease:a', ''], look: ['GET', 'lease:a'], seen: '' },
  { what: 'a number', put: ['SET', 'lease:a', 1], look: ['GET', 'lease:a'], seen: '1' },
  { what: 'a list', put: ['RPUSH', 'lease:a', 'theirs'], look: ['LRANGE', 'lease:a', 0, -1], seen: ['theirs'] },
]

describe('keys that another client changes', () => {
  it('P4 P18 a deleted lock is lost at its next renewal, and not reacquired', () =>
    withRedis((server) =>
      withManager(server.url, LASTING, async ({ manager, journal }) => {
        const [lease, other] = await two(manager.acquireAll(['a', 'b']))
        const { signal } = lease
        await server.command('DEL', 'lease:a')
        const failure = await rejectionOf(lease.renew())
        expect(failure).to.be.instanceOf(LockNotHeldError)
        expect(failure.cause).to.be.instanceOf(LeaseLostError)
        expect(journal.story(lease)).to.deep.equal(['acquired', 'lost: missing'])
        expect(signal.reason).to.be.instanceOf(LeaseLostError).with.property('reason', 'missing')
        expect(lease.held).to.equal(false)
        expect(await lease.release()).to.equal(false)
        await untilRenewed(other)
        expect(await exists(server, 'lease:a')).to.equal(false)
        expect(other.held).to.equal(true)
      }),
    ))

  for (const { what, put, look, seen } of FOREIGN_VALUES) {
    it(`P4 P5 P18 an overwritten lock is lost at renewal and left unchanged: ${what}`, () =>
      withRedis((server) =>
        // Otherwise it may be told between the two commands.
        withManager(server.url, { ...LASTING, watch: false }, async ({ manager, journal }) => {
          const [lease, other] = await two(manager.acquireAll(['a', 'b']))
          await server.command('DEL', 'lease:a')
          await server.command(...put)
          const ttl = (await server.command('PTTL', 'lease:a')) as number
          const failure = await rejectionOf(lease.renew())
          expect(failure).to.be.instanceOf(LockNotHeldError)
          expect(journal.story(lease)).to.deep.equal(['acquired', 'lost: taken'])
          expect(await lease.release()).to.equal(false)
          await untilRenewed(other)
          expect(other.held).to.equal(true)

          expect(await server.command(...look)).to.deep.equal(seen)
          expect(await server.command('PTTL', 'lease:a')).to.be.within(ttl - 60_000, ttl)
          expect(await manager.tryAcquire('a'), 'held by somebody else').to.equal(null)
          expect((await manager.inspect('a'))?.lease).to.equal(undefined)
          expect(await server.command(...look)).to.deep.equal(seen)
        }),
      ))
  }

  for (const [what, steal, reason] of [
    ['deletes', (server) => server.command('DEL', 'lease:a'), 'missing'],
    ['takes', (server) => server.command('SET', 'lease:a', 'theirs'), 'taken'],
  ] satisfies readonly (readonly [string, (server: RedisServer) => Promise<unknown>, string])[]) {
    it(`P18 P20 the wheel notices that somebody ${what} one lock, and keeps the others`, () =>
      withRedis((server) =>
        withManager(
          server.url,
          { ttl: 6_000, timeout: 2_000, wait: 15_000, random: () => 0.8 },
          async ({ manager, journal }) => {
            const [lease, other] = await two(manager.acquireAll(['a', 'b']))
            await steal(server)
            await journal.until('lost', lease)
            // Not `expired`: it was told as soon as it was known.
            expect(journal.story(lease).at(-1)).to.equal(`lost: ${reason}`)
            await journal.until('renewed', other)
            expect(other.held).to.equal(true)
            expect(await exists(server, 'lease:a')).to.equal(reason === 'taken')
          },
        ),
      ))
  }

  it('P5 a release that finds the lock gone or taken reports it, and deletes nothing', () =>
    withRedis((server) =>
      withManager(server.url, LASTING, async ({ manager, journal }) => {
        const [gone, taken] = await two(manager.acquireAll(['gone', 'taken']))
        await server.command('DEL', 'lease:gone')
        await server.command('SET', 'lease:taken', 'theirs')
        expect(await gone.release()).to.equal(false)
        expect(await taken.release()).to.equal(false)
        expect(journal.story(gone)).to.deep.equal(['acquired', 'lost: missing'])
        expect(journal.story(taken)).to.deep.equal(['acquired', 'lost: taken'])
        expect(await server.command('GET', 'lease:taken')).to.equal('theirs')
      }),
    ))

  it('P3 P4 P6 everything is lost on a FLUSHALL, and reacquired with larger fences', () =>
    withRedis((server) =>
      withManager(server.url, LASTING, async ({ manager, journal }) => {
        const keys = ['a', 'b', 'c']
        const before = await manager.acquireAll(keys)
        await server.command('FLUSHALL')
        for (const lease of before) await rejectionOf(lease.renew())
        for (const lease of before) expect(journal.story(lease)).to.deep.equal(['acquired', 'lost: missing'])
        expect(await server.command('DBSIZE')).to.equal(0)

        const after = await manager.acquireAll(keys)
        for (const [index, lease] of after.entries()) {
          const old = before[index] as Lease
          expect(lease.fence).to.be.greaterThan(old.fence)
          expect(old.held).to.equal(false)
          expect(await old.release(), 'a release of what came before').to.equal(false)
          expect(lease.held).to.equal(true)
        }
        for (const lease of after) await untilRenewed(lease)
      }),
    ))
})

async function two(leases: Promise<readonly Lease[]>): Promise<[Lease, Lease]> {
  const [first, second] = await leases
  if (!first || !second) expect.fail('expected two leases')
  return [first, second]
}
