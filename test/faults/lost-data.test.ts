/** A server that loses its data, all or some, and works otherwise. */
import { expect } from 'chai'
import type { Lease } from 'leasewheel'
import { until, untilRenewed } from '../redis/support.ts'
import type { RedisServer } from '../support/redis-server.ts'
import { acquireEach, type Holder, withEach, withScene } from './scene.ts'

const LOSSES: Readonly<Record<string, (server: RedisServer) => Promise<unknown>>> = {
  FLUSHALL: (server) => server.command('FLUSHALL'),
  'SIGKILL, and a restart with nothing': async (server) => {
    await server.kill()
    await server.restart()
  },
}

describe('a server that loses its data', () => {
  for (const [title, inflict] of Object.entries(LOSSES)) {
    it(`P3 P4 P6 P14 leases are lost as missing, not reacquired, and free: ${title}`, () =>
      withScene({ brief: true }, async ({ server, holders }) => {
        await inflict(server)
        await withEach(holders, async (holder) => {
          const { manager, journal, lasting, brief } = holder
          await untilLost(holder, lasting)
          for (const lease of lasting) expectStory(holder, lease, /lost: missing$/)
          // These are renewed so often that they find out by themselves; unless the machine was too slow even for that.
          for (const lease of brief) {
            await journal.until('lost', lease)
            expectStory(holder, lease, /lost: (missing|expired)$/)
          }
          expect(manager.stats()).to.include({ held: 0, jeopardy: 0 })
        })
        expect(await server.command('KEYS', '*'), 'nothing was written').to.deep.equal([])
        await withEach(holders, async ({ manager, lasting, brief }) => {
          for (const lease of [...lasting, ...brief]) {
            const again = await manager.acquire(lease.key)
            await untilRenewed(again)
            expect(again.fence).to.be.greaterThan(lease.fence)
            expect(lease.held).to.equal(false)
          }
        })
      }))
  }

  it('P4 P14 P18 leases older than its RDB stay, younger ones are lost: SIGKILL, restart', () =>
    withScene({ server: { persistence: 'rdb' } }, async ({ server, holders }) => {
      await server.command('SAVE')
      const younger = new Map<Holder, readonly Lease[]>()
      for (const holder of holders) younger.set(holder, await acquireEach(holder, `${holder.name} younger`))
      await server.kill()
      await server.restart()
      await withEach(holders, async (holder) => {
        const { journal, lasting } = holder
        const leases = younger.get(holder) as readonly Lease[]
        await untilLost(holder, leases)
        for (const lease of leases) expectStory(holder, lease, /lost: missing$/)
        for (const lease of lasting) {
          await untilRenewed(lease)
          expect(await server.command('GET', `lease:${lease.key}`)).to.equal(lease.token)
        }
        expect(journal.count('lost')).to.equal(leases.length)
      })
    }))
})

/** Who is told of changes need not ask. */
async function untilLost({ name, journal }: Holder, leases: readonly Lease[]): Promise<void> {
  for (const lease of leases) {
    if (name === 'watched') {
      await journal.until('lost', lease)
    } else {
      await until(`\`${lease.key}\` is lost`, () =>
        lease.renew().then(
          () => expect.fail('there is nothing to renew'),
          () => lease.state === 'lost',
        ),
      )
    }
    expect(lease.held).to.equal(false)
  }
}

function expectStory({ journal }: Holder, lease: Lease, end: RegExp): void {
  const story = journal.story(lease).join(' ')
  expect(story).to.match(/^acquired( renewed| jeopardy safe)*( jeopardy)? lost: \w+$/)
  expect(story).to.match(end)
}
