/** Promises what the raw measurements mean: per second, per lock. Pure. */
import type { AcquireMeasurement } from './acquire-measurement.ts'
import { percentile, type WorstOf } from './figures.ts'

export interface AcquireFigures {
  /** Acquire and release of one caller that is alone, in µs. */
  readonly pairMean: number
  /** In µs. */
  readonly pairP50: number
  /** In µs. */
  readonly pairP99: number
  /** Of many callers at once. */
  readonly crowdPerSecond: number
  /** µs of Node's CPU for each of them. */
  readonly crowdNodeCpu: number
  /** µs of Redis' CPU for each of them. */
  readonly crowdRedisCpu: number
  /** Keys in one go; NaN where the library cannot hold locks. */
  readonly manyPerSecond: number
}

export const worst: WorstOf<AcquireFigures> = {}

export function computeFigures({ locks, pairs, single, crowd, many }: AcquireMeasurement): AcquireFigures {
  return {
    pairMean: (single.seconds * 1e6) / pairs,
    pairP50: percentile(single.latencies, 50),
    pairP99: percentile(single.latencies, 99),
    crowdPerSecond: locks / crowd.seconds,
    crowdNodeCpu: crowd.nodeCpu / locks,
    crowdRedisCpu: crowd.redisCpu / locks,
    manyPerSecond: many === null ? Number.NaN : locks / many.seconds,
  }
}
