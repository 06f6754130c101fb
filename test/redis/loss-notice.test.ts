/** Holders learn at once that another client has deleted or overwritten their key, long before a renewal is due. */
import { expect } from 'chai'
import type { Lease } from 'leasewheel'
import { type RedisServer, withRedis } from '../support/redis-server.ts'
import {
  exists,
  LASTING,
  type Session,
  until,
  untilRenewed,
  untilWatching,
  withClient,
  withManager,
} from './support.ts'

/** Their first renewal comes after a third of the ttl: later than any test waits. */
const UNRENEWED = { ...LASTING, random: () => 0 }

/** What another library's unlocking looks like. */
const COMPARE_AND_DELETE =
  "if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('DEL', KEYS[1]) end return 0"

/** Runs `work` with a manager that is told of changes. */
function withHolder(
  work: (session: Session & { readonly server: RedisServer }) => Promise<void>,
  options: typeof LASTING = UNRENEWED,
): Promise<void> {
  return withRedis((server) =>
    withManager(server.url, options, async (session) => {
      await untilWatching(session.manager)
      await work({ ...session, server })
    }),
  )
}

type Command = readonly [string, ...(string | number)[]]

const WAYS: readonly {
  readonly what: string
  readonly interfere: (lease: Lease) => Command
  readonly reason: 'missing' | 'taken'
}[] = [
  { what: 'deleted', interfere: () => ['DEL', 'lease:a'], reason: 'missing' },
  { what: 'unlinked', interfere: () => ['UNLINK', 'lease:a'], reason: 'missing' },
  { what: 'read and deleted', interfere: () => ['GETDEL', 'lease:a'], reason: 'missing' },
  { what: 'renamed', interfere: () => ['RENAME', 'lease:a', 'elsewhere'], reason: 'missing' },
  { what: 'moved to another database', interfere: () => ['MOVE', 'lease:a', 1], reason: 'missing' },
  { what: 'made to expire at once', interfere: () => ['PEXPIRE', 'lease:a', 0], reason: 'missing' },
  {
    what: "deleted by another library's script, with our token",
    interfere: ({ token }) => ['EVAL', COMPARE_AND_DELETE, 1, 'lease:a', token],
    reason: 'missing',
  },
  { what: 'overwritten', interfere: () => ['SET', 'lease:a', 'theirs'], reason: 'taken' },
  { what: 'overwritten with a ttl', interfere: () => ['SET', 'lease:a', 'theirs', 'PX', 600_000], reason: 'taken' },
  { what: 'appended to', interfere: () => ['APPEND', 'lease:a', 'x'], reason: 'taken' },
]

describe('a lock that is held', () => {
  for (const { what, interfere, reason } of WAYS) {
    it(`P3 P18 is lost at once if its key is ${what}`, () =>
      withHolder(async ({ manager, journal, server }) => {
        const [lease, other] = await manager.acquireAll(['a', 'b'])
        if (!lease || !other) expect.fail('expected two leases')
        const { signal } = lease
        await server.command(...interfere(lease))
        await journal.until('lost', lease)
        expect(journal.story()).to.deep.equal(['acquired', 'acquired', `lost: ${reason}`])
        expect(signal.aborted).to.equal(true)
        expect(await lease.release()).to.equal(false)
        expect(await exists(server, 'lease:a'), 'left as it is').to.equal(reason === 'taken')
        expect(manager.get('b')).to.equal(other)
        await untilRenewed(other)
      }))
  }

  for (const [what, command] of [
    ['FLUSHALL', ['FLUSHALL']],
    ['FLUSHDB', ['FLUSHDB', 'ASYNC']],
  ] as readonly (readonly [string, Command])[]) {
    it(`P3 P18 is lost at once by a ${what}, and so is every other`, () =>
      withHolder(async ({ manager, journal, server }) => {
        const leases = await manager.acquireAll(Array.from({ length: 1_000 }, (_, index) => `key ${index}`))
        await server.command(...command)
        await until('all are lost', () => manager.size === 0)
        expect(manager.stats()).to.deep.include({
          lost: { expired: 0, taken: 0, missing: 1_000, maxHold: 0 },
          renewals: 0,
        })
        expect(journal.count('lost')).to.equal(1_000)
        expect(leases.some(({ held }) => held)).to.equal(false)
      }))
  }

  it('P18 P20 a thousand of ten thousand locks are lost at once, and no other', () =>
    withHolder(async ({ manager, journal, server }) => {
      const leases = await manager.acquireAll(Array.from({ length: 10_000 }, (_, index) => `key ${index}`))
      const [gone, kept] = [
        leases.filter((_, index) => index % 10 === 3),
        leases.filter((_, index) => index % 10 !== 3),
      ]
      await withClient({ port: server.port }, async (client) => {
        await Promise.all(gone.map(async ({ key }) => client.del(`lease:${key}`)))
      })
      await until('all of them are lost', () => journal.count('lost') >= gone.length)
      expect(gone.every(({ state }) => state === 'lost')).to.equal(true)
      expect(kept.every(({ held }) => held)).to.equal(true)
      expect(manager.stats()).to.deep.include({
        lost: { expired: 0, taken: 0, missing: 1_000, maxHold: 0 },
        renewals: 0,
      })
    }))

  it('P18 is still watched after each renewal', () =>
    withHolder(async ({ manager, journal, server }) => {
      const [first, second] = await manager.acquireAll(['first', 'second'])
      if (!first || !second) expect.fail('expected two leases')
      for (let turn = 0; turn < 3; turn += 1) await Promise.all([first.renew(), second.renew()])
      const renewals = manager.stats().renewals
      await server.command('DEL', 'lease:first')
      await journal.until('lost', first)
      await server.command('SET', 'lease:second', 'theirs')
      await journal.until('lost', second)
      expect(manager.stats().renewals, 'renewals by the wheel').to.equal(renewals)
    }))

  it('is not verified because of its own manager’s changes', () =>
    withHolder(async ({ manager, server }) => {
      const leases = await manager.acquireAll(Array.from({ length: 100 }, (_, index) => `key ${index}`))
      const before = manager.stats()
      for (let turn = 0; turn < 5; turn += 1) await Promise.all(leases.map(async (lease) => lease.renew()))
      for (const lease of leases.slice(50)) await lease.release()
      // The last thing that is told: whatever came before has been told by then.
      await server.command('DEL', 'lease:key 0')
      await until('it is lost', () => leases[0]?.state === 'lost')
      const after = manager.stats()
      expect(after.renewals - before.renewals).to.equal(500)
      // One for each round of renewals, one for each release, one for the change.
      expect(after.requests - before.requests).to.equal(5 + 50 + 1)
    }))

  it('P18 is watched if the wheel does not renew it, too', () =>
    withHolder(
      async ({ manager, journal, server }) => {
        const [first, second] = await manager.acquireAll(['first', 'second'])
        if (!first || !second) expect.fail('expected two leases')
        await server.command('DEL', 'lease:first')
        await journal.until('lost', first)
        expect(second.held).to.equal(true)
        await server.command('FLUSHALL')
        await journal.until('lost', second)
        expect(journal.story()).to.deep.equal(['acquired', 'acquired', 'lost: missing', 'lost: missing'])
      },
      { ...LASTING, autoRenew: false },
    ))

  it('P18 is watched even if it was acquired before notifications began', () =>
    withRedis((server) =>
      withManager(server.url, UNRENEWED, async ({ manager, journal }) => {
        const leases = await manager.acquireAll(['a', 'b'])
        await untilWatching(manager)
        for (const lease of leases) {
          await server.command('DEL', `lease:${lease.key}`)
          await journal.until('lost', lease)
          expect(journal.story(lease).at(-1)).to.equal('lost: missing')
        }
      }),
    ))

  it('P18 stays held if somebody changes its key and leaves our token there', () =>
    withHolder(async ({ manager, journal, server }) => {
      const lease = await manager.acquire('a')
      for (const command of [
        ['EXPIRE', 'lease:a', 600],
        ['PERSIST', 'lease:a'],
        ['SET', 'lease:a', lease.token, 'PX', 600_000],
      ] as readonly Command[]) {
        await lease.renew()
        const before = manager.stats()
        await server.command(...command)
        await until('its key was looked at', () => manager.stats().requests > before.requests)
        await until('nothing is under way', () => manager.stats().roundTrip.count >= manager.stats().requests)
        expect(lease.held).to.equal(true)
      }
      expect(journal.count('lost')).to.equal(0)
      expect(manager.get('a')).to.equal(lease)
    }))

  it('P18 is lost at once even after an earlier change that left our token', () =>
    withHolder(async ({ manager, journal, server }) => {
      const lease = await manager.acquire('a')
      const before = manager.stats()
      await server.command('EXPIRE', 'lease:a', 600)
      await until('its key was looked at', () => manager.stats().requests > before.requests)
      await until('nothing is under way', () => manager.stats().roundTrip.count >= manager.stats().requests)
      await server.command('DEL', 'lease:a')
      await journal.until('lost', lease)
      expect(journal.story(lease).at(-1)).to.equal('lost: missing')
    }))

  it('P1 P7 P18 is not trusted for long after somebody has shortened its ttl', () =>
    withHolder(async ({ manager, journal, server }) => {
      const lease = await manager.acquire('a')
      await server.command('PEXPIRE', 'lease:a', 300)
      await until('it is lost, or has its own ttl again', async () => {
        return lease.state === 'lost' || Number(await server.command('PTTL', 'lease:a')) > 1_000
      })
      expect(journal.count('lost')).to.be.at.most(1)
    }))

  it('is not watched above the limit, even if all come at once', () =>
    withHolder(
      async ({ manager, server }) => {
        await manager.acquireAll(Array.from({ length: 100 }, (_, index) => `key ${index}`))
        expect(await trackedKeys(server)).to.equal(0)
      },
      { ...UNRENEWED, watchLimit: 50 },
    ))

  it('is not watched if that is switched off, and the server remembers nothing', () =>
    withRedis((server) =>
      withManager(server.url, { ...UNRENEWED, watch: false }, async ({ manager }) => {
        const leases = await manager.acquireAll(['a', 'b'])
        for (const lease of leases) await lease.renew()
        expect(await trackedKeys(server)).to.equal(0)
        expect(manager.stats().watching).to.equal(false)
      }),
    ))

  it('is forgotten by the server on release', () =>
    withHolder(async ({ manager, server }) => {
      const leases = await manager.acquireAll(['a', 'b', 'c'])
      await Promise.all(leases.map(async (lease) => lease.renew()))
      // Before 7.2, servers remember every key that is named by a script which reads: the fence counter, too.
      expect(await trackedKeys(server)).to.be.within(3, 4)
      await Promise.all(leases.map(async (lease) => lease.release()))
      expect(await trackedKeys(server)).to.be.within(0, 1)
    }))
})

async function trackedKeys(server: RedisServer): Promise<number> {
  return Number((await server.info('stats')).get('tracking_total_keys'))
}
