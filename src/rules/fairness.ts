/**
 * How long the callers of one process may pass a lock on among themselves before others have their turn. The server
 * does not say whether others wait: a process leaves the lock to them for a moment, and sees whether anybody takes it.
 */

/**
 * How often the lock is passed on in a row: between processes it takes two messages more than within one. Twice as often each time
 * nobody else took it.
 */
const FEWEST_HAND_OVERS = 8
/** After how many ms others have their turn in any case. */
const LONGEST_STRETCH = 500
/** For how long the lock is left to others, in ms, the time that messages take not counted. */
const PAUSE = 5

export class Fairness {
  #handOvers = 0
  #allowed = FEWEST_HAND_OVERS
  #since = 0
  /** How long the fastest question took, there and back, in ms. */
  #roundTrip = Number.POSITIVE_INFINITY

  /** The lock was given back, and others here want it. @returns whether one of them may have it at once. */
  passOn(now: number): boolean {
    if (this.#handOvers === 0) this.#since = now
    this.#handOvers += 1
    return this.#handOvers <= this.#allowed && now - this.#since < LONGEST_STRETCH
  }

  /** For how long it is left to others, in ms: they must hear of it and ask for it. */
  get pause(): number {
    return PAUSE + (this.#roundTrip === Number.POSITIVE_INFINITY ? 0 : 2 * this.#roundTrip)
  }

  /** A question was answered. @param roundTrip ms. */
  onAnswered(roundTrip: number): void {
    this.#roundTrip = Math.min(this.#roundTrip, roundTrip)
  }

  /** Somebody else has it. */
  onRefused(): void {
    this.#handOvers = 0
    this.#allowed = FEWEST_HAND_OVERS
  }

  /** It was left to others, and nobody took it. */
  onUnwanted(): void {
    this.#handOvers = 0
    this.#allowed *= 2
  }
}
