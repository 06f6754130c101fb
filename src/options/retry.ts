/** Retry strategies: how often waiters ask for a lock that another holds. */
import { checkBoolean, checkInteger, checkNumber, checkOptions } from './check.ts'

/** What a strategy gets before each further attempt. */
export interface RetryContext {
  readonly key: string
  /** How many attempts have been made: 1 or more. */
  readonly attempts: number
  /** How long the caller has been waiting, in ms. */
  readonly waited: number
  /** What was left of the holder's ttl at the last refusal, in ms; undefined if the last attempt was not answered. */
  readonly remaining: number | undefined
  /** Whether the server will notify the caller of a change of the key, so that asking is a safeguard only. */
  readonly watched: boolean
  /** A random number in [0, 1), for jitter. */
  readonly random: number
}

/**
 * Decides when a waiter asks again. It keeps no state of one caller, so one strategy may serve any number of them.
 */
export interface RetryStrategy {
  /** ms until the next attempt, 0 or more; `null` to give up. A notified change, the end of the holder's ttl, or the end of `wait` cuts the pause short. */
  next(context: RetryContext): number | null
}

export interface FixedIntervalOptions {
  /** ms between two attempts: a number >= 1. */
  readonly interval: number
  /** The largest number of attempts, the first included: an integer >= 1. Default: no limit but `wait`. */
  readonly maxAttempts?: number | undefined
  /** Draws each interval from its upper half, so that waiters do not ask in step. Default `true`. */
  readonly jitter?: boolean | undefined
}

/**
 * Asks at a steady interval.
 *
 * @throws RangeError or TypeError naming an option that is out of bounds or unknown.
 */
export function fixedInterval(options: FixedIntervalOptions): RetryStrategy {
  checkOptions('fixedInterval', options, ['interval', 'maxAttempts', 'jitter'])
  const interval = checkNumber('interval', options.interval, 1)
  return strategy(() => interval, options)
}

export interface ExponentialBackoffOptions {
  /** ms before the second attempt: a number >= 1. Default 50. */
  readonly minTimeout?: number | undefined
  /** The longest interval, in ms: a number >= `minTimeout`. Default 1,000, or `minTimeout` if that is larger. */
  readonly maxTimeout?: number | undefined
  /** The ratio of each interval to the one before: a number >= 1. Default 2. */
  readonly factor?: number | undefined
  /** The largest number of attempts, the first included: an integer >= 1. Default: no limit but `wait`. */
  readonly maxAttempts?: number | undefined
  /** Draws each interval from its upper half, so that waiters do not ask in step. Default `true`. */
  readonly jitter?: boolean | undefined
}

/**
 * Asks at growing intervals.
 *
 * @throws RangeError or TypeError naming an option that is out of bounds or unknown.
 */
export function exponentialBackoff(options: ExponentialBackoffOptions = {}): RetryStrategy {
  checkOptions('exponentialBackoff', options, ['minTimeout', 'maxTimeout', 'factor', 'maxAttempts', 'jitter'])
  const { minTimeout = 50, factor = 2 } = options
  checkNumber('minTimeout', minTimeout, 1)
  const { maxTimeout = Math.max(1_000, minTimeout) } = options
  checkNumber('maxTimeout', maxTimeout, minTimeout)
  checkNumber('factor', factor, 1, { unit: '' })
  return strategy((attempts) => Math.min(minTimeout * factor ** (attempts - 1), maxTimeout), options)
}

/** ms after which a waiter asks for a watched key again, unless the holder's ttl ends before. */
const SAFEGUARD = 60_000

/** The default. A notified waiter asks only when the holder's ttl is over, or after a minute; other waiters ask with backoff. */
export function untilTold(): RetryStrategy {
  const backoff = exponentialBackoff()
  const safeguard = fixedInterval({ interval: SAFEGUARD })
  return { next: (context) => (context.watched ? safeguard : backoff).next(context) }
}

function strategy(
  intervalAfter: (attempts: number) => number,
  { maxAttempts, jitter = true }: { readonly maxAttempts?: number | undefined; readonly jitter?: boolean | undefined },
): RetryStrategy {
  checkBoolean('jitter', jitter)
  const limit = maxAttempts === undefined ? Infinity : checkInteger('maxAttempts', maxAttempts, 1, { unit: '' })
  return {
    next({ attempts, random }) {
      if (attempts >= limit) return null
      const interval = intervalAfter(attempts)
      return jitter ? interval * (0.5 + random / 2) : interval
    },
  }
}
