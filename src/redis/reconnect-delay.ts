/** The pauses between attempts to connect: longer each time, with jitter. */

/** ms. */
const FIRST = 50
/** ms. A pause is also at most half of a request's timeout, so that a waiting request sees an attempt and the reason of its failure. */
const LONGEST = 1_000

/** ms before another attempt after an announced switch: a Sentinel that does not know of it still names the old server. */
export const HURRIED_DELAY = 15

/** Attempts that the other side may end without a reason before we report it. */
export const TOLD_AFTER = 2

export class ReconnectDelay {
  /** ms. */
  readonly longest: number
  /** Connections in a row that brought no answer. */
  failures = 0

  /** @param timeout the timeout of a request, in ms. */
  constructor(timeout: number) {
    this.longest = Math.max(Math.min(LONGEST, timeout / 2), FIRST)
  }

  /** ms before the next attempt. */
  next(): number {
    const delay = Math.min(FIRST * 2 ** Math.min(this.failures, 10), this.longest)
    this.failures += 1
    return delay * (0.5 + Math.random() / 2)
  }
}
