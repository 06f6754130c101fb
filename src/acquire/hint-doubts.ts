/**
 * Decides whether to believe a hint that the key has changed. A server with no room left for watched keys evicts some of them, and reports those
 * as changed. A caller that asks at once makes it evict others, without end. So after two false alarms each further hint is followed later, with
 * a delay that doubles.
 */
import type { Refusal } from '../backend.ts'
import type { Clock } from '../time/clock.ts'
import type { Alarm, Alarms } from '../time/scheduler.ts'

/** If two refusals name one holder, and its ttl ends within this many ms of before, nothing has changed in between. */
const SAME_END = 25
/** False alarms after which hints are still followed at once. */
const BELIEVED_HINTS = 2
/** ms. */
const SHORTEST_DOUBT = 10
const LONGEST_DOUBT = 1_000

export interface HintDoubtsParts {
  readonly clock: Clock
  readonly scheduler: Alarms
  /** A notification about a key was missed, or was a false alarm. */
  readonly onUnreliable: (key: string) => void
}

export class HintDoubts {
  readonly #parts: HintDoubtsParts
  readonly #key: string
  /** The last refusal, and when its holder's ttl ends; undefined if the last attempt was not answered. */
  #refusal: Refusal | undefined = undefined
  #refusalEnd = 0
  /** What caused the next question: the time, a hint about any key, or a hint that named this key. */
  #cause: 'time' | 'hint' | 'name' = 'time'
  /** How many hints in a row were false alarms. */
  #falseHints = 0
  /** Rings when a delayed hint is due. */
  #hesitation: Alarm | undefined = undefined

  constructor(parts: HintDoubtsParts, key: string) {
    this.#parts = parts
    this.#key = key
  }

  /** The last answer, if it was a refusal. */
  get refusal(): Refusal | undefined {
    return this.#refusal
  }

  /** The key may have changed. @param named the server named this key; otherwise any key may have changed. */
  onHint(named: boolean): void {
    this.#cause = named ? 'name' : 'hint'
  }

  /** The last attempt was granted, or not answered. */
  onNotRefused(): void {
    this.#refusal = undefined
  }

  /** @param stale another hint came after this question: it is the cause of the next one. */
  onRefused(refusal: Refusal, stale: boolean): void {
    const { clock, onUnreliable } = this.#parts
    const now = clock.now()
    const end = refusal.remaining === Number.POSITIVE_INFINITY ? 0 : now + refusal.remaining
    const before = this.#refusal
    const sameHolder = refusal.holder === before?.holder
    const isJoint = refusal.version !== undefined
    const same = isJoint
      ? refusal.version === before?.version
      : sameHolder && Math.abs(end - this.#refusalEnd) < SAME_END
    if (!same) this.#falseHints = 0
    else if (this.#cause === 'name' && !stale) this.#falseHints += 1
    // The ttl should be over, but the holder has renewed without a notification.
    // A joint lease may have been renewed by this manager, which gets no notification of that.
    const missed =
      !isJoint && this.#cause === 'time' && before?.watched && sameHolder && !same && now >= this.#refusalEnd
    if (missed || this.#falseHints === BELIEVED_HINTS) onUnreliable(this.#key)
    if (!stale) this.#cause = 'time'
    this.#refusal = refusal
    this.#refusalEnd = end
  }

  /** Follows a hint: at once, or after a delay if it may be a false alarm. */
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
