import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { expect } from 'chai'
import fc from 'fast-check'
import { Histogram, HISTOGRAM_BOUNDS } from '#src/structures/histogram.js'

const NOTHING = { count: 0, sum: 0, mean: 0, p50: 0, p90: 0, p99: 0, max: 0 }
const NOW = 1_000
const LARGEST = (2 ** 31 - 1) / 1_000

function histogramOf(durations: readonly number[]): Histogram {
  const histogram = new Histogram()
  for (const duration of durations) histogram.record(duration, NOW)
  return histogram
}

/** The smallest of the durations that is no smaller than that part of them. */
function exactPercentile(durations: readonly number[], fraction: number): number {
  const sorted = durations.toSorted((a, b) => a - b)
  return sorted[Math.max(Math.ceil(durations.length * fraction) - 1, 0)] as number
}

describe('Histogram', () => {
  it('reports zeros while nothing has been recorded', () => {
    const { bounds, buckets, ...summary } = new Histogram().summary(NOW)
    expect(summary).to.deep.equal({ ...NOTHING, minute: NOTHING })
    expect(bounds).to.equal(HISTOGRAM_BOUNDS)
    expect(buckets).to.deep.equal(HISTOGRAM_BOUNDS.map(() => 0))
  })

  it('reports a single duration as every percentile', () => {
    for (const duration of [0, 0.001, 0.5, 1, 7.5, 1_000, 60_000]) {
      const { count, mean, p50, p90, p99, max } = histogramOf([duration]).summary(NOW)
      expect({ count, mean, max }).to.deep.equal({ count: 1, mean: duration, max: duration })
      expect([p50, p90, p99]).to.deep.equal([duration, duration, duration])
    }
  })

  it('is exact up to 16 µs', () => {
    for (let us = 0; us < 16; us += 1) {
      // The second one keeps the maximum out of the way.
      expect(histogramOf([us / 1_000, us / 1_000, 1]).summary(NOW).p50).to.equal(us / 1_000)
    }
  })

  it('counts a duration many times at once', () => {
    const histogram = new Histogram()
    histogram.record(1, NOW, 99)
    histogram.record(100, NOW)
    const { count, mean, p50, p99, max } = histogram.summary(NOW)
    expect({ count, mean, max }).to.deep.equal({ count: 100, mean: 1.99, max: 100 })
    expect(p50).to.be.within(1, 1.125)
    expect(p99).to.be.within(1, 1.125)
  })

  it('counts an invalid duration as 0', () => {
    const { count, mean, p50, p99, max } = histogramOf([-5, Number.NaN, Number.NEGATIVE_INFINITY]).summary(NOW)
    expect({ count, mean, p50, p99, max }).to.deep.equal({ count: 3, mean: 0, p50: 0, p99: 0, max: 0 })
  })

  it('counts an excessive duration in its last bucket, but reports the true maximum', () => {
    const { p50, max, mean } = histogramOf([10_000_000, 10_000_000]).summary(NOW)
    expect(p50).to.equal(LARGEST)
    expect(max).to.equal(10_000_000)
    expect(mean).to.equal(10_000_000)
    expect(histogramOf([LARGEST, 10_000_000]).summary(NOW).p50).to.equal(LARGEST)
  })

  it('is never off by more than an eighth, over all its range', () => {
    for (let duration = 0.001; duration < LARGEST; duration *= 1.01) {
      const { p50 } = histogramOf([duration, duration, LARGEST]).summary(NOW)
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
        const summary = histogramOf(durations).summary(NOW)
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
      for (let time = 0; time < 1_000_000; time += 1) histogram.record(time / 1_000, time)
    }
    recordMany()
    const before = heapInUse()
    recordMany()
    expect(heapInUse() - before).to.be.lessThan(1_000_000)
    expect(histogram.summary(1_000_000).count).to.equal(2_000_000)
  })

  it('reports percentiles in their order and none above the maximum', () => {
    fc.assert(
      fc.property(fc.array(fc.double({ min: 0, max: 1e7, noNaN: true }), { minLength: 1 }), (durations) => {
        const { p50, p90, p99, max } = histogramOf(durations).summary(NOW)
        expect([p50, p90, p99, max]).to.deep.equal([p50, p90, p99, max].toSorted((a, b) => a - b))
      }),
      { seed: 99, numRuns: 300 },
    )
  })

  it('counts each duration in the first bucket whose bound it does not exceed, for any durations', () => {
    const duration = fc.oneof(fc.constantFrom(...HISTOGRAM_BOUNDS), fc.double({ min: 0, max: 4e6, noNaN: true }))
    fc.assert(
      fc.property(fc.array(duration, { maxLength: 100 }), (durations) => {
        const { buckets, sum } = histogramOf(durations).summary(NOW)
        for (const [index, bound] of HISTOGRAM_BOUNDS.entries()) {
          expect(buckets[index], `up to ${bound}`).to.equal(durations.filter((each) => each <= bound).length)
        }
        expect(sum).to.be.closeTo(
          durations.reduce((total, each) => total + each, 0),
          1e-6,
        )
      }),
      { seed: 99, numRuns: 300 },
    )
  })

  describe('over the last minute', () => {
    it('forgets a long duration after a minute, which the life-time figures keep', () => {
      const histogram = new Histogram()
      histogram.record(400, 0)
      histogram.record(1, 30_000)
      expect(histogram.summary(30_000).minute).to.include({ count: 2, sum: 401, max: 400 })
      const later = histogram.summary(60_000)
      expect(later.minute).to.include({ count: 1, sum: 1, mean: 1, p50: 1, p99: 1, max: 1 })
      expect(later).to.include({ count: 2, sum: 401, max: 400 })
      expect(histogram.summary(90_000).minute).to.deep.equal(NOTHING)
    })

    it('counts a percentile among the durations of the minute only', () => {
      const histogram = new Histogram()
      histogram.record(1, 0, 100)
      histogram.record(400, 30_000)
      expect(histogram.summary(30_000).minute.p50).to.be.within(1, 1.125)
      expect(histogram.summary(60_000).minute).to.include({ count: 1, p50: 400, p90: 400, p99: 400 })
      expect(histogram.summary(60_000).p50).to.be.within(1, 1.125)
    })

    it('has all durations of the last 55 s, and none of more than a minute ago, for any times', () => {
      const step = fc.record({
        after: fc.nat({ max: 30_000 }),
        duration: fc.nat({ max: 1_000 }),
        times: fc.integer({ min: 1, max: 5 }),
      })
      fc.assert(
        fc.property(fc.integer({ min: -100_000, max: 1e9 }), fc.array(step, { maxLength: 60 }), (start, steps) => {
          const histogram = new Histogram()
          const done: { at: number; duration: number; times: number }[] = []
          let now = start
          for (const { after, duration, times } of steps) {
            now += after
            histogram.record(duration, now, times)
            done.push({ at: now, duration, times })
            const { minute } = histogram.summary(now)
            const within = (ms: number): typeof done => done.filter(({ at }) => at > now - ms)
            const count = (some: typeof done): number => some.reduce((sum, one) => sum + one.times, 0)
            const longest = (some: typeof done): number => Math.max(0, ...some.map((one) => one.duration))
            expect(minute.count).to.be.within(count(within(55_000)), count(within(60_000)))
            expect(minute.max).to.be.within(longest(within(55_000)), longest(within(60_000)))
            expect(minute.p99).to.be.at.most(minute.max)
          }
          expect(histogram.summary(now + 60_000).minute).to.deep.equal(NOTHING)
        }),
        { seed: 99, numRuns: 300 },
      )
    })

    it('counts a record of the past as one of now, if the clock has gone back', () => {
      const histogram = new Histogram()
      histogram.record(1, 100_000)
      histogram.record(2, 10_000)
      expect(histogram.summary(20_000).minute).to.include({ count: 2, max: 2 })
    })
  })
})
