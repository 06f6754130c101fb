import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { expect } from 'chai'
import fc from 'fast-check'
import { Histogram } from '#src/structures/histogram.js'

const NOTHING = { count: 0, mean: 0, p50: 0, p90: 0, p99: 0, max: 0 }
const LARGEST = (2 ** 31 - 1) / 1_000

function histogramOf(durations: readonly number[]): Histogram {
  const histogram = new Histogram()
  for (const duration of durations) histogram.record(duration)
  return histogram
}

/** The smallest of the durations that is no smaller than that part of them. */
function exactPercentile(durations: readonly number[], fraction: number): number {
  const sorted = durations.toSorted((a, b) => a - b)
  return sorted[Math.max(Math.ceil(durations.length * fraction) - 1, 0)] as number
}

describe('Histogram', () => {
  it('reports zeros while nothing has been recorded', () => {
    expect(new Histogram().summary()).to.deep.equal(NOTHING)
  })

  it('reports a single duration as every percentile', () => {
    for (const duration of [0, 0.001, 0.5, 1, 7.5, 1_000, 60_000]) {
      const { count, mean, p50, p90, p99, max } = histogramOf([duration]).summary()
      expect({ count, mean, max }).to.deep.equal({ count: 1, mean: duration, max: duration })
      expect([p50, p90, p99]).to.deep.equal([duration, duration, duration])
    }
  })

  it('is exact up to 16 µs', () => {
    for (let us = 0; us < 16; us += 1) {
      // The second one keeps the maximum out of the way.
      expect(histogramOf([us / 1_000, us / 1_000, 1]).summary().p50).to.equal(us / 1_000)
    }
  })

  it('counts a duration many times at once', () => {
    const histogram = new Histogram()
    histogram.record(1, 99)
    histogram.record(100)
    const { count, mean, p50, p99, max } = histogram.summary()
    expect({ count, mean, max }).to.deep.equal({ count: 100, mean: 1.99, max: 100 })
    expect(p50).to.be.within(1, 1.125)
    expect(p99).to.be.within(1, 1.125)
  })

  it('counts an invalid duration as 0', () => {
    const { count, mean, p50, p99, max } = histogramOf([-5, Number.NaN, Number.NEGATIVE_INFINITY]).summary()
    expect({ count, mean, p50, p99, max }).to.deep.equal({ count: 3, mean: 0, p50: 0, p99: 0, max: 0 })
  })

  it('counts an excessive duration in its last bucket, but reports the true maximum', () => {
    const { p50, max, mean } = histogramOf([10_000_000, 10_000_000]).summary()
    expect(p50).to.equal(LARGEST)
    expect(max).to.equal(10_000_000)
    expect(mean).to.equal(10_000_000)
    expect(histogramOf([LARGEST, 10_000_000]).summary().p50).to.equal(LARGEST)
  })

  it('is never off by more than an eighth, over all its range', () => {
    for (let duration = 0.001; duration < LARGEST; duration *= 1.01) {
      const { p50 } = histogramOf([duration, duration, LARGEST]).summary()
      expect(p50).to.be.within(duration - 0.0005, duration * 1.125 + 0.0005)
    }
  })

  it('reports percentiles within an eighth of the exact ones, for any durations', () => {
    const duration = fc.oneof(
      fc.double({ min: 0, max: 0.1, noNaN: true }),
      fc.double({ min: 0, max: 100, noNaN: true }),
      fc.double({ min: 0, max: LARGEST, noNaN: true }),
    )
    fc.assert(
      fc.property(fc.array(duration, { minLength: 1, maxLength: 500, size: 'max' }), (durations) => {
        const summary = histogramOf(durations).summary()
        for (const [name, fraction] of [
          ['p50', 0.5],
          ['p90', 0.9],
          ['p99', 0.99],
        ] as const) {
          const exact = exactPercentile(durations, fraction)
          // Durations are counted in whole µs: half of one is lost to rounding.
          expect(summary[name], name).to.be.within(exact - 0.0005, exact * 1.125 + 0.0005)
        }
        expect(summary.count).to.equal(durations.length)
        expect(summary.max).to.equal(Math.max(...durations))
        const sum = durations.reduce((total, each) => total + each, 0)
        expect(summary.mean).to.be.closeTo(sum / durations.length, 1e-9 * sum)
      }),
      { seed: 99, numRuns: 300 },
    )
  })

  it('P25 takes no more memory for a million durations than for one', () => {
    setFlagsFromString('--expose-gc')
    const collectGarbage = runInNewContext('gc') as () => void
    const histogram = new Histogram()
    const heapInUse = (): number => {
      collectGarbage()
      return process.memoryUsage().heapUsed
    }
    const recordMany = (): void => {
      for (let time = 0; time < 1_000_000; time += 1) histogram.record(time / 1_000)
    }
    recordMany()
    const before = heapInUse()
    recordMany()
    expect(heapInUse() - before).to.be.lessThan(1_000_000)
    expect(histogram.summary().count).to.equal(2_000_000)
  })

  it('reports percentiles in their order and none above the maximum', () => {
    fc.assert(
      fc.property(fc.array(fc.double({ min: 0, max: 1e7, noNaN: true }), { minLength: 1 }), (durations) => {
        const { p50, p90, p99, max } = histogramOf(durations).summary()
        expect([p50, p90, p99, max]).to.deep.equal([p50, p90, p99, max].toSorted((a, b) => a - b))
      }),
      { seed: 99, numRuns: 300 },
    )
  })
})
