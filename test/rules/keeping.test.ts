import { expect } from 'chai'
import fc from 'fast-check'
import { beatEvery, isBeat, isDueForKeeper, isKeeping, lookEvery } from '#src/rules/keeping.js'
import { deadlineOf } from '#src/rules/timing.js'

const anyTtl = fc.integer({ min: 500, max: 1_000_000 })
const RUNS = { seed: 3_401, numRuns: 1_000 }

describe('a keeper', () => {
  it('P34 renews after a silence of a sixth of the ttl, and until `maxBlocked` is over', () => {
    const silence = { beat: 1_000, maxBlocked: 60_000 }
    expect(isKeeping(5_999, silence, 30_000)).to.equal(false)
    expect(isKeeping(6_000, silence, 30_000)).to.equal(true)
    expect(isKeeping(60_999, silence, 30_000)).to.equal(true)
    expect(isKeeping(61_000, silence, 30_000)).to.equal(false)
  })

  it('waits for 30 ms of silence, however short the ttl is', () => {
    expect(isKeeping(29, { beat: 0, maxBlocked: 60_000 }, 100)).to.equal(false)
    expect(isKeeping(30, { beat: 0, maxBlocked: 60_000 }, 100)).to.equal(true)
  })

  it('counts no beat that is late by a twelfth of the ttl', () => {
    expect([isBeat(499, 6_000), isBeat(500, 6_000)]).to.deep.equal([true, false])
    expect([isBeat(29, 100), isBeat(30, 100)]).to.deep.equal([true, false])
  })

  it('renews a lease that is a third of its ttl old', () => {
    expect(isDueForKeeper(10_999, 1_000, 30_000)).to.equal(false)
    expect(isDueForKeeper(11_000, 1_000, 30_000)).to.equal(true)
  })

  it('looks once a second and beats twice, or more often for a short ttl', () => {
    expect([beatEvery(600_000), lookEvery(600_000)]).to.deep.equal([500, 1_000])
    expect([beatEvery(2_400), lookEvery(2_400)]).to.deep.equal([100, 200])
    expect([beatEvery(100), lookEvery(100)]).to.deep.equal([10, 10])
  })

  it('has a third of the ttl left when the event loop stops right before a renewal', () => {
    fc.assert(
      fc.property(anyTtl, (ttl) => {
        // The last beat comes as late as it may, and the keeper has just looked when the silence counts.
        const found = ttl / 3 + Math.max(ttl / 6, 30) + lookEvery(ttl)
        expect(isKeeping(found, { beat: ttl / 3, maxBlocked: 3_600_000 }, ttl)).to.equal(true)
        expect(deadlineOf(0, ttl, 0.01) - found).to.be.greaterThan(ttl / 3)
      }),
      RUNS,
    )
  })

  it('hears a beat in time from an event loop that is free', () => {
    fc.assert(
      fc.property(anyTtl, (ttl) => {
        const now = beatEvery(ttl) + ttl / 12
        expect(isKeeping(now, { beat: 0, maxBlocked: 3_600_000 }, ttl)).to.equal(false)
      }),
      RUNS,
    )
  })
})
