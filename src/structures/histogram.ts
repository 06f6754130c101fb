/**
 * A histogram of durations with a fixed size: over all time, and over the last minute. Pure: the caller passes the time.
 *
 * Percentiles come from 8 buckets for each power of two, so each is off by at most an eighth: a small version of Gil Tene's HdrHistogram.
 * Monitoring systems need few buckets with round bounds, so those are counted apart, and exactly.
 */
import { SlidingMinute } from './sliding-minute.ts'
import { BUCKETS, bucketOf, percentilesOf } from './duration-buckets.ts'

/** Upper bounds of the buckets that are reported, in ms. A duration belongs to the first bucket whose bound it does not exceed. */
export const HISTOGRAM_BOUNDS: readonly number[] = [
  0.25, 0.5, 1, 2.5, 5, 10, 25, 50, 100, 250, 500, 1_000, 2_500, 5_000, 10_000, 30_000, 60_000, 300_000, 1_800_000,
]

/** Figures about durations, in ms. All are 0 while there are none. */
export interface DurationSummary {
  readonly count: number
  readonly sum: number
  readonly mean: number
  readonly p50: number
  readonly p90: number
  readonly p99: number
  readonly max: number
}

/** All durations since the beginning, and those of the last minute. */
export interface HistogramSummary extends DurationSummary {
  /** Upper bounds of the buckets, in ms, in ascending order. */
  readonly bounds: readonly number[]
  /** For each bound, how many durations were at most that: those of all smaller buckets included. Longer ones are in `count` only. */
  readonly buckets: readonly number[]
  /** The last 55 to 60 seconds. */
  readonly minute: DurationSummary
}

export class Histogram {
  readonly #counts = new Float64Array(BUCKETS)
  readonly #byBound = new Float64Array(HISTOGRAM_BOUNDS.length)
  readonly #minute = new SlidingMinute()
  #count = 0
  #sum = 0
  #max = 0

  /** Counts `times` occurrences of one duration in ms; a negative one counts as 0. @param now ms on any clock that does not go back. */
  record(duration: number, now: number, times = 1): void {
    const value = duration > 0 ? duration : 0
    const bucket = bucketOf(value)
    this.#counts[bucket] = (this.#counts[bucket] as number) + times
    this.#count += times
    this.#sum += value * times
    if (value > this.#max) this.#max = value
    const bound = boundOf(value, bucket)
    // Past the end of a typed array nothing is written.
    this.#byBound[bound] = (this.#byBound[bound] as number) + times
    this.#minute.add(bucket, value, times, now)
  }

  /** It makes few objects: a monitoring system may ask often. */
  summary(now: number): HistogramSummary {
    const { count, sum, mean, p50, p90, p99, max } = summaryOf(this.#counts, this.#count, this.#sum, this.#max)
    const window = this.#minute.counts(now)
    const totals = this.#minute.totals()
    const minute = summaryOf(window, totals.count, totals.sum, totals.max)
    return { count, sum, mean, p50, p90, p99, max, bounds: HISTOGRAM_BOUNDS, buckets: this.#buckets(), minute }
  }

  #buckets(): number[] {
    const buckets: number[] = []
    let count = 0
    for (let bound = 0; bound < HISTOGRAM_BOUNDS.length; bound += 1) {
      count += this.#byBound[bound] as number
      buckets.push(count)
    }
    return buckets
  }
}

function summaryOf(counts: Float64Array, count: number, sum: number, max: number): DurationSummary {
  const { p50, p90, p99 } = percentilesOf(counts, count, max)
  return { count, sum, mean: count === 0 ? 0 : sum / count, p50, p90, p99, max }
}

/** For each bucket of the percentiles, the first bound that a duration in it may belong to. */
const FIRST_BOUNDS = new Uint8Array(BUCKETS)
for (const bound of HISTOGRAM_BOUNDS.toReversed()) {
  const index = HISTOGRAM_BOUNDS.indexOf(bound)
  FIRST_BOUNDS.fill(index, 0, bucketOf(bound) + 1)
}
FIRST_BOUNDS.fill(HISTOGRAM_BOUNDS.length, bucketOf(HISTOGRAM_BOUNDS.at(-1) as number) + 1)

/** The index of the first bound that the duration does not exceed; past the last bound, how many there are. */
function boundOf(duration: number, bucket: number): number {
  let bound = FIRST_BOUNDS[bucket] as number
  while (bound < HISTOGRAM_BOUNDS.length && duration > (HISTOGRAM_BOUNDS[bound] as number)) bound += 1
  return bound
}
