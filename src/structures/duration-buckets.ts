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

/**
 * The percentiles 50, 90 and 99, in ms: each is the upper edge of its bucket, but never more than the largest duration.
 *
 * @param counts by bucket. @param count their sum. @param max the largest duration, in ms.
 */
export function percentilesOf(
  counts: Float64Array,
  count: number,
  max: number,
): readonly [p50: number, p90: number, p99: number] {
  const found: [number, number, number] = [0, 0, 0]
  if (count === 0) return found
  const ranks = [count * 0.5, count * 0.9, count * 0.99]
  let seen = 0
  let next = 0
  for (let bucket = 0; bucket < BUCKETS && next < ranks.length; bucket += 1) {
    seen += counts[bucket] as number
    for (; next < ranks.length && seen > 0 && seen >= (ranks[next] as number); next += 1) {
      found[next] = Math.min(upperEdge(bucket) / 1_000, max)
    }
  }
  return found
}

/** µs. */
function upperEdge(bucket: number): number {
  if (bucket < SUB_BUCKETS) return bucket
  const shift = Math.floor(bucket / SUB_BUCKETS) - 1
  return ((bucket % SUB_BUCKETS) + SUB_BUCKETS + 1) * 2 ** shift - 1
}
