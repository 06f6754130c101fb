/** Buckets for durations: 8 for each power of two. Pure. */

const SUB_BUCKET_BITS = 3
const SUB_BUCKETS = 1 << SUB_BUCKET_BITS
/** Durations are counted in µs up to 2^31 - 1 µs (36 min); longer ones count as that. */
const LARGEST = 2 ** 31 - 1

export const BUCKETS: number = (32 - SUB_BUCKET_BITS) * SUB_BUCKETS

/** The bucket of a duration in ms, which is not negative. */
export function bucketOf(duration: number): number {
  const value = Math.min(Math.round(duration * 1_000), LARGEST)
  if (value < SUB_BUCKETS) return value
  const shift = 31 - Math.clz32(value) - SUB_BUCKET_BITS
  return (shift + 1) * SUB_BUCKETS + ((value >>> shift) - SUB_BUCKETS)
}

export interface Percentiles {
  readonly p50: number
  readonly p90: number
  readonly p99: number
}

const NONE: Percentiles = { p50: 0, p90: 0, p99: 0 }

/**
 * The percentiles 50, 90 and 99, in ms: each is the upper edge of its bucket, but never more than the largest duration.
 *
 * @param counts by bucket. @param count their sum. @param max the largest duration, in ms.
 */
export function percentilesOf(counts: Float64Array, count: number, max: number): Percentiles {
  if (count === 0) return NONE
  const p50 = firstWith(counts, 0, 0, count * 0.5)
  const p90 = firstWith(counts, p50.bucket, p50.before, count * 0.9)
  const p99 = firstWith(counts, p90.bucket, p90.before, count * 0.99)
  const edge = ({ bucket }: Place): number => Math.min(upperEdge(bucket) / 1_000, max)
  return { p50: edge(p50), p90: edge(p90), p99: edge(p99) }
}

/** A bucket, and how many durations are in smaller ones. */
interface Place {
  readonly bucket: number
  readonly before: number
}

/** The first bucket, from this one on, with which there are `rank` durations and at least one. */
function firstWith(counts: Float64Array, from: number, before: number, rank: number): Place {
  let bucket = from
  let seen = before
  let next = seen + (counts[bucket] as number)
  while ((next === 0 || next < rank) && bucket < BUCKETS - 1) {
    bucket += 1
    seen = next
    next += counts[bucket] as number
  }
  return { bucket, before: seen }
}

/** µs. */
function upperEdge(bucket: number): number {
  if (bucket < SUB_BUCKETS) return bucket
  const shift = Math.floor(bucket / SUB_BUCKETS) - 1
  return ((bucket % SUB_BUCKETS) + SUB_BUCKETS + 1) * 2 ** shift - 1
}
