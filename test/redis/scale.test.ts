/** Many locks in one process, on one timer and one connection. */
import { expect } from 'chai'
import { withRedis } from '../support/redis-server.ts'
import { connectionsNamed, until, withManager } from './support.ts'

const COUNT = 10_000
/** Held for several times this. ms. */
const TTL = 3_000

describe('ten thousand locks', () => {
  it('P19 P22 P24 are held over several ttls by one timer, in batches, and all released', () =>
    withRedis((server) =>
      withManager(server.url, { ttl: TTL, timeout: TTL, wait: 15_000 }, async ({ manager, journal }) => {
        const leases = await manager.acquireAll(Array.from({ length: COUNT }, (_, index) => `key ${index}`))
        await server.command('CONFIG', 'RESETSTAT')
        const before = manager.stats()
        // Each lease is renewed once in a third of its ttl: this many take more than two ttls.
        const renewals = 7 * COUNT
        await until('all are renewed often enough', () => {
          expect(manager.stats().timers, 'timers armed').to.equal(1)
          return manager.stats().renewals - before.renewals >= renewals
        })
        const after = manager.stats()
        expect(after.lost).to.deep.equal({ expired: 0, taken: 0, missing: 0, maxHold: 0 })
        expect(leases.every((lease) => lease.held)).to.equal(true)
        expect(await server.command('DBSIZE'), 'every lock, and the fence counter').to.equal(COUNT + 1)
        expect(await connectionsNamed(server, 'leasewheel')).to.equal(1)

        const commands = await server.commandStats()
        const scripts = (commands.get('evalsha')?.calls ?? 0) + (commands.get('eval')?.calls ?? 0)
        expect(scripts, 'requests for so many renewals').to.be.below(renewals / 20)

        await manager.close()
        expect(manager.stats().timers).to.equal(0)
        expect(journal.count('released')).to.equal(COUNT)
        expect(await server.command('KEYS', '*')).to.deep.equal(['leasewheel:fence'])
      }),
    ))
})
