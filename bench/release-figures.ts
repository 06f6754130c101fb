/** Promises what the raw measurements mean: per second, per lock. Pure. */
import type { WorstOf } from './figures.ts'
import type { ReleaseMeasurement } from './release-measurement.ts'

export interface ReleaseFigures {
  /** Calls of many callers at once. */
  readonly crowdPerSecond: number
  /** µs of Node's CPU for each of them. */
  readonly crowdNodeCpu: number
  /** µs of Redis' CPU for each of them. */
  readonly crowdRedisCpu: number
  /** Keys in one go; NaN where the library cannot hold locks. */
  readonly closePerSecond: number
  /** Keys that were not deleted. */
  readonly left: number
}

/** A promise, and not a price. */
export const worst: WorstOf<ReleaseFigures> = { left: Math.max }

export function computeFigures({ locks, crowd, close }: ReleaseMeasurement): ReleaseFigures {
  return {
    crowdPerSecond: locks / crowd.seconds,
    crowdNodeCpu: crowd.nodeCpu / locks,
    crowdRedisCpu: crowd.redisCpu / locks,
    closePerSecond: close === null ? Number.NaN : locks / close.seconds,
    left: crowd.left + (close?.left ?? 0),
  }
}
