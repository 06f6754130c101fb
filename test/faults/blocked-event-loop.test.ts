/** An event loop that is blocked by work of the application: no timer fires, and answers lie unread. */
import { setImmediate } from 'node:timers/promises'
import { expect } from 'chai'
import { LockNotHeldError } from 'leasewheel'
import { exists, IMPATIENT, rejectionOf, until, withManager } from '../redis/support.ts'
import { withRedis } from '../support/redis-server.ts'

/** How long it is blocked, in ms. */
const BLOCKED = 2_400
/** ms. */
const LONG_TTL = 2 * BLOCKED
const SHORT_TTL = BLOCKED / 2

describe('an event loop that is blocked', () => {
  it('P1 P2 P3 P13 P15 P18 a blocked event loop loses only leases whose ttl is over', () =>
    withRedis((server) =>
      withManager(server.url, { ...IMPATIENT, ttl: LONG_TTL }, async ({ manager, journal }) => {
        const [long] = await manager.acquireAll(['long'])
        const [read, unread] = await manager.acquireAll(['read', 'unread'], { ttl: SHORT_TTL })
        if (!long || !read || !unread) expect.fail('expected three leases')
        // Their renewals are on their way, and are answered while nobody reads it.
        server.pause()
        const renewals = [long.renew(), read.renew(), unread.renew()] as const
        for (const renewal of renewals) renewal.catch(() => undefined)
        for (let turn = 0; turn < 3; turn += 1) await setImmediate()
        const { requests } = manager.stats()
        server.resume()
        block(BLOCKED)

        // The very first reading, before anything that was due or has come.
        expect([read.held, read.remaining, read.state]).to.deep.equal([false, 0, 'lost'])
        expect(long.held).to.equal(true)
        await renewals[0]
        for (const renewal of renewals.slice(1)) expect(await rejectionOf(renewal)).to.be.instanceOf(LockNotHeldError)
        for (const lease of [read, unread]) {
          await journal.until('lost', lease)
          expect(journal.story(lease).join(' ')).to.match(/^acquired( renewed)* lost: expired$/)
        }
        expect(journal.story(long), 'an answer that lies unread is no failure').not.to.include('jeopardy')

        const renewed = manager.stats().renewals
        await until('it goes on', () => manager.stats().renewals >= renewed + 2)
        expect(long.held).to.equal(true)
        expect(journal.story(long).join(' ')).to.match(/^acquired( renewed| jeopardy safe)+$/)
        // What was late is made up for once, not as often as it would have been due.
        expect(manager.stats().requests - requests).to.be.at.most(8)
        for (const lease of [read, unread]) {
          await until('its key is gone', async () => !(await exists(server, `lease:${lease.key}`)))
          expect((await manager.acquire(lease.key)).fence).to.be.greaterThan(lease.fence)
          expect(lease.held).to.equal(false)
        }
      }),
    ))
})

/** Blocks the event loop for so many ms. */
function block(duration: number): void {
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, duration)
}
