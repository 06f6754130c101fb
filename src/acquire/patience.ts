/** How long one caller goes on: its attempts so far, the time it has waited, and the pauses of its strategy. */
import type { Refusal } from '../backend.ts'
import { describe } from '../options/check.ts'
import type { AcquireSettings } from '../options/settings.ts'
import { ANNOUNCE_EVERY } from '../rules/sharing.ts'
import type { Clock } from '../time/clock.ts'

export interface PatienceParts {
  readonly clock: Clock
  readonly random: () => number
  /** Whether the server's notifications about a key have been reliable so far. */
  readonly isReliable: (key: string) => boolean
}

export class Patience {
  readonly #parts: PatienceParts
  readonly #settings: AcquireSettings
  readonly #startedAt: number
  attempts = 0
  /** Attempts that a hint or a nudge caused: the strategy does not count them. */
  extraAttempts = 0
  /** A caller that does not wait has shared another's attempt, which used up some of its timeout. */
  hasShared = false

  constructor(parts: PatienceParts, settings: AcquireSettings, startedAt: number = parts.clock.now()) {
    this.#parts = parts
    this.#settings = settings
    this.#startedAt = startedAt
  }

  /** ms. */
  get waited(): number {
    return this.#parts.clock.now() - this.#startedAt
  }

  /** ms that the caller may still wait; not positive for a call that makes one attempt. */
  get left(): number {
    const { wait } = this.#settings
    return wait === Number.POSITIVE_INFINITY ? wait : wait - this.waited
  }

  /** ms after which an attempt is given up, whatever its own timeout is; Infinity if there is no such limit. */
  get forAttempt(): number {
    const { timeout, wait } = this.#settings
    if (wait > 0) return this.left
    return this.hasShared ? Math.max(timeout - this.waited, 0) : Number.POSITIVE_INFINITY
  }

  /**
   * The strategy's pause, in ms, cut short by the end of the holder's ttl or of the caller's patience.
   *
   * @returns nothing if the strategy gives up or the patience has ended.
   * @throws what the strategy throws, and RangeError if it returns an invalid value.
   */
  nextPause(key: string, refusal: Refusal | undefined): number | undefined {
    const { left } = this
    const interval = this.#nextInterval(key, refusal)
    if (interval === null || left <= 0) return undefined
    // A waiting reader or writer tells the others that it still waits.
    const announcing = this.#settings.joint?.announce ? ANNOUNCE_EVERY : Number.POSITIVE_INFINITY
    return Math.min(interval, (refusal?.remaining ?? Number.POSITIVE_INFINITY) + 1, announcing, left)
  }

  #nextInterval(key: string, refusal: Refusal | undefined): number | null {
    const { random, isReliable } = this.#parts
    const interval: unknown = this.#settings.retry.next({
      key,
      attempts: Math.max(this.attempts - this.extraAttempts, 1),
      waited: this.waited,
      remaining: refusal?.remaining,
      watched: (refusal?.watched ?? false) && isReliable(key),
      random: random(),
    })
    if (interval === null || (typeof interval === 'number' && interval >= 0)) return interval
    throw new RangeError(`Expected \`retry.next()\` to return a number >= 0 (ms) or null, got ${describe(interval)}`)
  }
}
