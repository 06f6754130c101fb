/**
 * How much may be asked of a server at once, learned from how long it takes to answer. Pure: times are arguments, in
 * ms.
 *
 * The time that an answer takes is estimated as TCP does it (V. Jacobson, "Congestion Avoidance and Control", 1988; RFC 6298). The number of
 * requests on their way grows by one with each round of answers, and is halved, once for all requests that were on their way together, when answers
 * take so long because of what is queued before them: more than half of the time after which they are given up, and more than twice the
 * shortest there was (D. Chiu, R. Jain, 1989: additive increase, multiplicative decrease; L. Brakmo, L. Peterson, "TCP Vegas", 1995: the shortest
 * round trip tells a long way from a long queue).
 */

/** Requests on their way at once: enough to keep a server busy, few enough that the nearest deadline is never far back in line. */
const MOST = 16
/** One that is never answered must not hold up all others. */
const FEWEST = 2
/** By how much the shortest round trip is forgotten with each answer, so that a way that has become longer is not taken for a queue for good. */
const FORGETTING = 1.01
const NEVER = Number.NEGATIVE_INFINITY

export class CongestionWindow {
  #limit = MOST
  #smoothed: number | undefined
  #deviation = 0
  #shortest = Number.POSITIVE_INFINITY
  /** When it was last halved: what was sent before that says nothing about what came of it. */
  #halvedAt = NEVER
  #answeredAt = NEVER

  /** How many requests may be on their way. @param overdue how many were given up, and are still to be answered before them. */
  limit(overdue: number): number {
    return Math.max(Math.floor(this.#limit) - overdue, FEWEST)
  }

  /** How long an answer takes, nearly always; 0 while nothing is known. ms. */
  get roundTrip(): number {
    return this.#smoothed === undefined ? 0 : this.#smoothed + 2 * this.#deviation
  }

  /** @param timeout after which the request was, or would have been, given up. */
  onAnswered(sentAt: number, now: number, timeout: number): void {
    const took = now - sentAt
    this.#answeredAt = now
    this.#estimate(took)
    this.#shortest = Math.min(this.#shortest * FORGETTING, took)
    if (took > timeout / 2 && took > 2 * this.#shortest) this.#halve(sentAt, now)
    else this.#limit = Math.min(this.#limit + 1 / this.#limit, MOST)
  }

  /** A request was given up. While others are answered that says nothing about the server. */
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
