/**
 * Whether a hint that the key has changed is believed. A server that has no room left for watched keys forgets some of them, and says that they
 * have changed. A caller that asks at once makes it forget others, without end: so after two hints for nothing each waits, twice as long as
 * the one before.
 */
import type { Refusal } from '../backend.ts'
import type { Clock } from '../time/clock.ts'
import type { Alarm, Alarms } from '../time/scheduler.ts'

/** Two refusals by one holder whose ttls end within this many ms of each other say that nothing has happened in between. */
const SAME_END = 25
/** Hints for nothing that are followed at once. */
const BELIEVED_HINTS = 2
/** ms. */
const SHORTEST_DOUBT = 10
const LONGEST_DOUBT = 1_000

export interface HintDoubtsParts {
  readonly clock: Clock
  readonly scheduler: Alarms
  /** A notification was missed, or was a false alarm. */
  readonly onUnreliable: () => void
}

export class HintDoubts {
  readonly #parts: HintDoubtsParts
  /** The last refusal, and when its holder's ttl ends; undefined when the last attempt was not answered. */
  #refusal: Refusal | undefined = undefined
  #refusalEnd = 0
  /** Why the next answer is asked for: it is time, or there was a hint, by name or in general. */
  #cause: 'time' | 'hint' | 'name' = 'time'
  /** How many hints in a row turned out to be for nothing. */
  #falseHints = 0
  /** Rings when a hint that is doubted is followed after all. */
  #hesitation: Alarm | undefined = undefined

  constructor(parts: HintDoubtsParts) {
    this.#parts = parts
  }

  /** What was answered last, if that was a refusal. */
  get refusal(): Refusal | undefined {
    return this.#refusal
  }

  /** The key may have changed. @param named the server has named it; otherwise any may have changed. */
  onHint(named: boolean): void {
    this.#cause = named ? 'name' : 'hint'
  }

  /** The last attempt was granted, or not answered. */
  onNotRefused(): void {
    this.#refusal = undefined
  }

  /** @param stale another hint has come since this was asked for: it is the cause of the next question. */
  onRefused(refusal: Refusal, stale: boolean): void {
    const { clock, onUnreliable } = this.#parts
    const now = clock.now()
    const end = refusal.remaining === Number.POSITIVE_INFINITY ? 0 : now + refusal.remaining
    const before = this.#refusal
    const sameHolder = refusal.holder === before?.holder
    const same = sameHolder && Math.abs(end - this.#refusalEnd) < SAME_END
    if (!same) this.#falseHints = 0
    else if (this.#cause === 'name' && !stale) this.#falseHints += 1
    // Its ttl should be over, and it was renewed without a word.
    const missed = this.#cause === 'time' && before?.watched && sameHolder && !same && now >= this.#refusalEnd
    if (missed || this.#falseHints === BELIEVED_HINTS) onUnreliable()
    if (!stale) this.#cause = 'time'
    this.#refusal = refusal
    this.#refusalEnd = end
  }

  /** Calls `follow` when a hint is to be followed: at once, or after a while if it is doubted. */
  followed(follow: { now(): void; later(): void }): void {
    const doubts = this.#falseHints - BELIEVED_HINTS
    if (doubts < 0) {
      follow.now()
      return
    }
    const delay = Math.min(SHORTEST_DOUBT * 2 ** Math.min(doubts, 16), LONGEST_DOUBT)
    this.#hesitation ??= this.#parts.scheduler.after(delay, () => {
      this.#hesitation = undefined
      follow.later()
    })
  }

  end(): void {
    this.#hesitation?.cancel()
  }
}
