/** What many claimed keys cost while nothing happens. */
import { expect } from 'chai'
import { withStage } from '../support/manager.ts'

const KEYS = Array.from({ length: 2_000 }, (_, index) => `key ${index}`)
/** ms. */
const TTL = 6_000
/** Requests for 2,000 keys, if no batch is smaller than 200. */
const BATCHES = 10

describe('2,000 claimed keys', () => {
  it('cost no timer and no command for a key while nothing happens', () =>
    withStage(async ({ open, clock }) => {
      const [holder, other] = [open({ ttl: TTL }), open({ ttl: TTL })]
      const [held, wanted] = [holder, other].map(({ manager }) => manager.claim(KEYS))
      await clock.settle()
      expect([held?.size, wanted?.size, other.manager.stats().waiting]).to.deep.equal([2_000, 0, 2_000])
      expect(holder.backend.requests.acquire).to.be.at.most(BATCHES)
      // One attempt for all, then one for each waiting caller: both in batches.
      expect(other.backend.requests.acquire).to.be.at.most(2 * BATCHES)
      // One for each manager, whatever it waits for.
      expect(clock.timers).to.be.at.most(2)

      const before = [{ ...holder.backend.requests }, { ...other.backend.requests }]
      await clock.advance(TTL / 4)
      expect([holder.backend.requests, other.backend.requests]).to.deep.equal(before)

      // Each was renewed once. That is a change of the key, after which the waiting caller asks once.
      await clock.advance(TTL / 3)
      expect(holder.backend.requests.renew).to.be.within(1, 2 * BATCHES)
      expect(other.backend.requests.acquire - (before[1]?.acquire ?? 0)).to.be.at.most(2 * BATCHES)
      expect(holder.backend.requests.acquire).to.equal(before[0]?.acquire)
      expect(clock.timers).to.be.at.most(2)
    }))

  it('are asked for less often, the more there are, if the server notifies nobody', () =>
    withStage(async ({ open, clock }) => {
      const [holder, other] = [open({ ttl: TTL }), open({ ttl: TTL }, { watch: false })]
      for (const { manager } of [holder, other]) manager.claim(KEYS)
      await clock.settle()
      const asked = (): number => other.backend.calls('acquire').reduce((sum, { entries }) => sum + entries.length, 0)
      const before = asked()
      await clock.advance(1_500)
      // With pauses from 50 ms on, as for a single caller, these would be 12,000.
      expect(asked() - before).to.be.within(1_000, 4_000)
    }))
})
