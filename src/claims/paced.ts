/** Keeps many callers that the server does not notify from asking all the time: together they ask a limited number of times a second. */
import type { RetryStrategy } from '../options/retry.ts'

/** ms between two questions of all callers together. */
const BETWEEN = 0.5

/** @param waiting how many callers wait now. */
export function paced(strategy: RetryStrategy, waiting: () => number): RetryStrategy {
  return {
    next(context) {
      const interval = strategy.next(context)
      if (interval === null || context.watched) return interval
      return Math.max(interval, waiting() * BETWEEN * (1 + context.random))
    },
  }
}
