/** How long one caller goes on: the attempts it has made, the time that has gone by, and the pauses that its strategy wants. */
import type { Refusal } from '../backend.ts'
import { describe } from '../options/check.ts'
import type { AcquireSettings } from '../options/settings.ts'
import type { Clock } from '../time/clock.ts'

export interface PatienceParts {
  readonly clock: Clock
  readonly random: () => number
  /** Whether the server tells of what is watched, as far as is known. */
  readonly isReliable: () => boolean
}

export class Patience {
  readonly #parts: PatienceParts
  readonly #settings: AcquireSettings
  readonly #startedAt: number
  attempts = 0
  /** Attempts made for other reasons than that it was time, which the strategy does not count. */
  extraAttempts = 0
  /** A caller that does not want to wait has shared another's attempt, which took some of its time. */
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

  /** ms that a caller may still wait; none is left of a call that makes one attempt. */
  get left(): number {
    return this.#settings.wait - this.waited
  }

  /** ms that one attempt may take: it ends with the caller's patience. If one is all that is wanted, that is its timeout. */
  get forAttempt(): number {
    const { timeout, wait } = this.#settings
    if (wait > 0) return this.left
    return this.hasShared ? Math.max(timeout - this.waited, 0) : timeout
  }

  /**
   * The strategy's pause, in ms, cut short by the end of the holder's ttl or of the caller's patience.
   *
   * @returns nothing if either has had enough.
   * @throws what the strategy throws, and RangeError for a bad answer of it.
   */
  nextPause(key: string, refusal: Refusal | undefined): number | undefined {
    const { left } = this
    const interval = this.#nextInterval(key, refusal)
    if (interval === null || left <= 0) return undefined
    return Math.min(interval, (refusal?.remaining ?? Number.POSITIVE_INFINITY) + 1, left)
  }

  #nextInterval(key: string, refusal: Refusal | undefined): number | null {
    const { random, isReliable } = this.#parts
    const interval: unknown = this.#settings.retry.next({
      key,
      attempts: Math.max(this.attempts - this.extraAttempts, 1),
      waited: this.waited,
      remaining: refusal?.remaining,
      watched: (refusal?.watched ?? false) && isReliable(),
      random: random(),
    })
    if (interval === null || (typeof interval === 'number' && interval >= 0)) return interval
    throw new RangeError(`Expected \`retry.next()\` to return a number >= 0 (ms) or null, got ${describe(interval)}`)
  }
}
