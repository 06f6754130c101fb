/**
 * How long the waiters of one process may hand a lock over among themselves before other processes have their turn. The
 * server does not say whether others wait, so the process leaves the lock free for a moment and sees whether one takes it.
 */

/**
 * Hand-overs in a row at first: between processes a hand-over takes two messages more than within one. The number doubles each time no other
 * process took the lock.
 */
const FEWEST_HAND_OVERS = 8
/** ms after which other processes have their turn in any case. */
const LONGEST_STRETCH = 500
/** ms that the lock stays free for others, without the time that messages take. */
const PAUSE = 5

export class Fairness {
  #handOvers = 0
  #allowed = FEWEST_HAND_OVERS
  #since = 0
  /** The shortest round trip so far, in ms. */
  #roundTrip = Number.POSITIVE_INFINITY

  /** The lock was released, and this process has waiters. @returns whether one of them may have it at once. */
  passOn(now: number): boolean {
    if (this.#handOvers === 0) this.#since = now
    this.#handOvers += 1
    return this.#handOvers <= this.#allowed && now - this.#since < LONGEST_STRETCH
  }

  /** How long the lock stays free for others, in ms: they must be notified and ask for it. */
  get pause(): number {
    return PAUSE + (this.#roundTrip === Number.POSITIVE_INFINITY ? 0 : 2 * this.#roundTrip)
  }

  /** A request was answered. @param roundTrip ms. */
  onAnswered(roundTrip: number): void {
    this.#roundTrip = Math.min(this.#roundTrip, roundTrip)
  }

  /** Another process has the lock. */
  onRefused(): void {
    this.#handOvers = 0
    this.#allowed = FEWEST_HAND_OVERS
  }

  /** The lock stayed free, and no other process took it. */
  onUnwanted(): void {
    this.#handOvers = 0
    this.#allowed *= 2
  }
}
