/**
 * How many batches may be on their way to a server at once, learned from its answer times. Pure: times are arguments, in ms.
 *
 * The round trip is estimated as in TCP (V. Jacobson, "Congestion Avoidance and Control", 1988; RFC 6298). The window grows by one with each
 * round of answers (D. Chiu, R. Jain, 1989: additive increase, multiplicative decrease). It is halved if an answer takes more than half of its
 * timeout and more than twice the shortest round trip. One round of batches halves it only once. The shortest round trip tells a distant server
 * from a long queue (L. Brakmo, L. Peterson, "TCP Vegas", 1995).
 */

/** Enough batches to keep a server busy, few enough that the nearest deadline never waits long. */
const MOST = 16
/** One batch that is never answered must not block all others. */
const FEWEST = 2
/** How the shortest round trip grows with each answer, so that a server that moved further away does not count as congested for good. */
const FORGETTING = 1.01
const NEVER = Number.NEGATIVE_INFINITY

export class CongestionWindow {
  #limit = MOST
  #smoothed: number | undefined
  #deviation = 0
  #shortest = Number.POSITIVE_INFINITY
  /** When the window was last halved. Batches sent before that say nothing about the new size. */
  #halvedAt = NEVER
  #answeredAt = NEVER

  /** How many batches may be on their way. @param overdue batches that were given up, but that the server may still have to answer first. */
  limit(overdue: number): number {
    return Math.max(Math.floor(this.#limit) - overdue, FEWEST)
  }

  /** An upper estimate of the round trip, in ms; 0 before the first answer. */
  get roundTrip(): number {
    return this.#smoothed === undefined ? 0 : this.#smoothed + 2 * this.#deviation
  }

  /** @param timeout the timeout of the batch, in ms. */
  onAnswered(sentAt: number, now: number, timeout: number): void {
    const took = now - sentAt
    this.#answeredAt = now
    this.#estimate(took)
    this.#shortest = Math.min(this.#shortest * FORGETTING, took)
    if (took > timeout / 2 && took > 2 * this.#shortest) this.#halve(sentAt, now)
    else this.#limit = Math.min(this.#limit + 1 / this.#limit, MOST)
  }

  /** A batch is overdue. That says nothing about the server if it has answered since the batch was sent. */
  onOverdue(sentAt: number, now: number): void {
    if (this.#answeredAt < sentAt) this.#halve(sentAt, now)
  }

  #halve(sentAt: number, now: number): void {
    if (sentAt < this.#halvedAt) return
    this.#halvedAt = now
    this.#limit = Math.max(this.#limit / 2, FEWEST)
  }

  #estimate(took: number): void {
    if (this.#smoothed === undefined) {
      this.#smoothed = took
      this.#deviation = took / 2
      return
    }
    this.#deviation += (Math.abs(took - this.#smoothed) - this.#deviation) / 4
    this.#smoothed += (took - this.#smoothed) / 8
  }
}
