/** Pauses before a connection is made anew: longer each time, with jitter. */

/** ms. */
const FIRST = 50
/** ms. Also half of what a request may take: whoever waits for a connection sees an attempt to make one, and is told why it failed. */
const LONGEST = 1_000

export class ReconnectDelay {
  /** ms. */
  readonly longest: number
  /** Connections in a row on which nothing was answered. */
  failures = 0

  /** @param timeout of a request, in ms. */
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
