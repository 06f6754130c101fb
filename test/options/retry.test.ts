import { expect } from 'chai'
import fc from 'fast-check'
import { exponentialBackoff, fixedInterval, type RetryContext, type RetryStrategy } from 'leasewheel'

function context(attempts: number, random = 0): RetryContext {
  return { key: 'order:42', attempts, waited: 0, remaining: undefined, watched: false, random }
}

/** The pauses after the first attempts, without jitter's help or with the given luck. */
function pauses(strategy: RetryStrategy, count: number, random?: number): (number | null)[] {
  return Array.from({ length: count }, (_, index) => strategy.next(context(index + 1, random)))
}

const RUNS = { seed: 2_112, numRuns: 300 }
const anyRandom = fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true })

describe('fixedInterval', () => {
  it('pauses equally long each time', () => {
    expect(pauses(fixedInterval({ interval: 100, jitter: false }), 4)).to.deep.equal([100, 100, 100, 100])
  })

  it('draws each pause from the upper half of the interval by default', () => {
    const strategy = fixedInterval({ interval: 100 })
    expect([0, 0.5, 0.999].map((random) => strategy.next(context(1, random)))).to.deep.equal([50, 75, 99.95])
  })

  it('gives up after the last of its attempts, including the first one', () => {
    const strategy = fixedInterval({ interval: 100, maxAttempts: 3, jitter: false })
    expect(pauses(strategy, 5)).to.deep.equal([100, 100, null, null, null])
    expect(pauses(fixedInterval({ interval: 100, maxAttempts: 1 }), 1)).to.deep.equal([null])
  })

  it('never gives up by default', () => {
    expect(fixedInterval({ interval: 100, jitter: false }).next(context(1_000_000_000))).to.equal(100)
  })
})

describe('exponentialBackoff', () => {
  it('doubles from 50 ms to a second by default', () => {
    const strategy = exponentialBackoff({ jitter: false })
    expect(pauses(strategy, 8)).to.deep.equal([50, 100, 200, 400, 800, 1_000, 1_000, 1_000])
    expect(strategy.next(context(1_000_000_000))).to.equal(1_000)
  })

  it('starts at minTimeout, grows by factor and stops at maxTimeout', () => {
    const strategy = exponentialBackoff({ minTimeout: 10, maxTimeout: 100, factor: 3, jitter: false })
    expect(pauses(strategy, 5)).to.deep.equal([10, 30, 90, 100, 100])
  })

  it('does not grow by a factor of 1', () => {
    expect(pauses(exponentialBackoff({ factor: 1, jitter: false }), 3)).to.deep.equal([50, 50, 50])
  })

  it('does not grow from a minTimeout above the default maxTimeout', () => {
    expect(pauses(exponentialBackoff({ minTimeout: 5_000, jitter: false }), 3)).to.deep.equal([5_000, 5_000, 5_000])
  })

  it('draws each pause from its upper half by default', () => {
    expect(pauses(exponentialBackoff(), 3, 0)).to.deep.equal([25, 50, 100])
    expect(pauses(exponentialBackoff(), 3, 0.5)).to.deep.equal([37.5, 75, 150])
  })

  it('gives up after the last of its attempts, including the first one', () => {
    expect(pauses(exponentialBackoff({ maxAttempts: 2, jitter: false }), 3)).to.deep.equal([50, null, null])
  })

  it('pauses within its bounds for any options and number of attempts', () => {
    const options = fc.record({
      minTimeout: fc.integer({ min: 1, max: 10_000 }),
      maxTimeout: fc.integer({ min: 10_000, max: 100_000 }),
      factor: fc.double({ min: 1, max: 1e6, noNaN: true }),
    })
    fc.assert(
      fc.property(options, fc.integer({ min: 1, max: 2 ** 31 }), anyRandom, (bounds, attempts, random) => {
        const pause = exponentialBackoff(bounds).next(context(attempts, random))
        expect(pause).to.be.within(bounds.minTimeout / 2, bounds.maxTimeout)
      }),
      RUNS,
    )
  })
})

describe('the strategies', () => {
  it('keep no state of one caller, so that any number can share them', () => {
    for (const strategy of [fixedInterval({ interval: 10 }), exponentialBackoff({ maxAttempts: 5 })]) {
      const alone = pauses(strategy, 6)
      // Two callers, one attempt each in turn, and then the first of them again.
      const mixed = [1, 1, 2, 2, 3, 3, 4, 4, 5, 5, 6, 6].map((attempts) => strategy.next(context(attempts)))
      expect(mixed.filter((_, index) => index % 2 === 0)).to.deep.equal(alone)
      expect(pauses(strategy, 6)).to.deep.equal(alone)
    }
  })
})
