/**
 * A histogram of durations with a fixed size: 8 buckets for each power of two, so a percentile is off by at most an eighth.
 * A small version of Gil Tene's HdrHistogram. Pure.
 */

const SUB_BUCKET_BITS = 3
const SUB_BUCKETS = 1 << SUB_BUCKET_BITS
/** Durations are counted in µs up to 2^31 - 1 µs (36 min); longer ones count as that. */
const LARGEST = 2 ** 31 - 1
const BUCKETS = (32 - SUB_BUCKET_BITS) * SUB_BUCKETS

/** The summary of a histogram, in ms. All fields are 0 while nothing was recorded. */
export interface HistogramSummary {
  readonly count: number
  readonly mean: number
  readonly p50: number
  readonly p90: number
  readonly p99: number
  readonly max: number
}

export class Histogram {
  readonly #counts = new Float64Array(BUCKETS)
  #count = 0
  #sum = 0
  #max = 0

  /** Counts `times` occurrences of one duration in ms; a negative one counts as 0. */
  record(duration: number, times = 1): void {
    const value = duration > 0 ? duration : 0
    const bucket = bucketOf(Math.min(Math.round(value * 1_000), LARGEST))
    this.#counts[bucket] = (this.#counts[bucket] as number) + times
    this.#count += times
    this.#sum += value * times
    if (value > this.#max) this.#max = value
  }

  summary(): HistogramSummary {
    return {
      count: this.#count,
      mean: this.#count === 0 ? 0 : this.#sum / this.#count,
      p50: this.#percentile(0.5),
      p90: this.#percentile(0.9),
      p99: this.#percentile(0.99),
      max: this.#max,
    }
  }

  /** The upper edge of the percentile's bucket, in ms, but never more than the largest duration. */
  #percentile(fraction: number): number {
    const rank = this.#count * fraction
    let seen = 0
    for (let bucket = 0; bucket < BUCKETS; bucket += 1) {
      seen += this.#counts[bucket] as number
      if (seen > 0 && seen >= rank) return Math.min(upperEdge(bucket) / 1_000, this.#max)
    }
    return 0
  }
}

function bucketOf(value: number): number {
  if (value < SUB_BUCKETS) return value
  const shift = 31 - Math.clz32(value) - SUB_BUCKET_BITS
  return (shift + 1) * SUB_BUCKETS + ((value >>> shift) - SUB_BUCKETS)
}

function upperEdge(bucket: number): number {
  if (bucket < SUB_BUCKETS) return bucket
  const shift = Math.floor(bucket / SUB_BUCKETS) - 1
  return ((bucket % SUB_BUCKETS) + SUB_BUCKETS + 1) * 2 ** shift - 1
}
