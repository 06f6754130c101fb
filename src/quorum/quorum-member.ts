/** One member of a quorum: its backend, whether it has a vote, and how it does. */
import type { Backend, QuorumMemberStats } from '../backend.ts'
import { Histogram } from '../structures/histogram.ts'

/** ms that the first answer of a member is expected to take. */
const FIRST_GUESS = 50
/** The weight of a new duration in a smoothed mean. */
const WEIGHT = 1 / 8

export class QuorumMember {
  readonly backend: Backend
  readonly index: number
  readonly #size: number
  granted = 0
  refused = 0
  healed = 0
  /** How long an answer usually takes, and how long after the majority it comes, in ms. */
  usual: number = FIRST_GUESS
  lag = 0
  /** It was told to be away. */
  toldAway = false
  readonly #roundTrip = new Histogram()
  #answered = false
  readonly #known = new Set<string>()
  /** ms on the clock. */
  #quarantinedUntil = Number.NEGATIVE_INFINITY

  constructor(backend: Backend, index: number, size: number) {
    this.backend = backend
    this.index = index
    this.#size = size
  }

  get bit(): number {
    return 2 ** this.index
  }

  get name(): string {
    return this.backend.name ?? `member ${this.index + 1}`
  }

  /** Its name in messages. */
  get label(): string {
    const { name } = this.backend
    return `member ${this.index + 1} of ${this.#size}${name === undefined ? '' : ` (${name})`}`
  }

  /** Whether it can be asked now. A backend that does not say so always can. */
  get usable(): boolean {
    return this.backend.connected ?? true
  }

  /** See `Backend.ready`. If several servers are behind it, any of them will do. */
  ready(): Promise<void> | undefined {
    const { backend } = this
    if (this.usable && (backend.routing || backend.connected !== undefined)) return undefined
    return backend.ready(backend.routing ? -1 : 0)
  }

  /** ms until it has a vote on new locks. */
  quarantined(now: number): number {
    return Math.max(this.#quarantinedUntil - now, 0)
  }

  hasVote(now: number): boolean {
    return now >= this.#quarantinedUntil
  }

  /** @param until ms on the clock. @returns whether it had a vote until now. */
  quarantine(until: number, now: number): boolean {
    const had = this.hasVote(now)
    this.#quarantinedUntil = Math.max(this.#quarantinedUntil, until)
    return had && !this.hasVote(now)
  }

  /**
   * Looks who answers. A server that was started a moment ago may lack what it had granted before.
   *
   * @param delay how long a server has no vote after its start, in ms. @returns whether it has lost its vote.
   */
  look(now: number, delay: number): boolean {
    let lost = false
    for (const { id, startedAt } of this.backend.servers ?? []) {
      if (this.#known.has(id)) continue
      this.#known.add(id)
      if (startedAt !== undefined) lost = this.quarantine(startedAt + delay, now) || lost
    }
    return lost
  }

  /** @param took ms. */
  onAnswered(took: number, now: number): void {
    this.#roundTrip.record(took, now)
    this.usual = this.#answered ? this.usual + (took - this.usual) * WEIGHT : took
    this.#answered = true
  }

  /** @param late ms after the majority was decided. */
  onLate(late: number): void {
    this.lag += (late - this.lag) * WEIGHT
  }

  /** @param undoing keys that are to be deleted from it. */
  stats(now: number, undoing: number): QuorumMemberStats {
    return {
      name: this.name,
      usable: this.usable,
      watching: this.backend.watching,
      quarantined: this.quarantined(now),
      granted: this.granted,
      refused: this.refused,
      healed: this.healed,
      undoing,
      lag: this.lag,
      roundTrip: this.#roundTrip.summary(now),
    }
  }
}
