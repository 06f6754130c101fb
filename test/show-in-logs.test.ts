/** What logs show of leases and managers. */
import { inspect } from 'node:util'
import { expect } from 'chai'
import { grant, heldFor, TTL, withManager } from './support/manager.ts'

describe('the log output', () => {
  it('the log of a lease is its key and its state, never its token', () =>
    withManager({}, async ({ manager, clock }) => {
      const lease = await grant(manager.tryAcquire('order:42'))
      const secret = lease.token.slice(-22)
      const summary = {
        key: 'order:42',
        state: 'held',
        fence: lease.fence,
        ttl: TTL,
        remaining: Math.round(heldFor(TTL)),
      }
      expect(JSON.parse(JSON.stringify({ lease }))).to.deep.equal({ lease: summary })
      expect(inspect(lease))
        .to.match(/^Lease \{/)
        .and.to.include("'order:42'")
        .and.not.to.include(secret)
      expect(inspect({ deep: { deeper: { lease } } })).not.to.include(secret)
      clock.jump(TTL)
      expect(inspect(lease)).to.include("'lost'")
    }))

  it('P30 logging a lost lease emits no event', () =>
    withManager({ autoRenew: false }, async ({ manager, clock, events }) => {
      const lease = await grant(manager.tryAcquire('a'))
      clock.jump(TTL)
      inspect(lease)
      JSON.stringify(lease)
      expect(events.lines).to.deep.equal(['acquired a'])
    }))

  it('the log of a manager is its number of leases', () =>
    withManager({}, async ({ manager }) => {
      await grant(manager.tryAcquire('a'))
      expect(inspect(manager)).to.equal('LeaseManager { held: 1, waiting: 0, closed: false }')
      expect(JSON.stringify(manager)).to.equal('{"held":1,"waiting":0,"closed":false}')
    }))
})
