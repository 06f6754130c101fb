/** The last losses, for whoever looks later. It is the one thing that goes on without a viewer, and costs nothing until a lease is lost. */
import type { LostEvent } from '../lease/events.ts'
import { sinceOf } from '../lease/token.ts'
import { wallTime } from '../time/clock.ts'
import type { LossRow } from './wire.ts'

/** Losses that are kept. */
const KEPT = 100

export class LossBook {
  /** A ring: the oldest entry is overwritten. */
  readonly #rows: LossRow[] = []
  #next = 0
  #added = 0

  /** How many were added in all. */
  get added(): number {
    return this.#added
  }

  readonly onLost = ({ lease, reason, error }: Pick<LostEvent, 'lease' | 'reason' | 'error'>): void => {
    const now = wallTime()
    const { cause } = error
    this.add({
      at: now,
      key: lease.key,
      owner: null,
      reason,
      fence: lease.fence,
      since: sinceOf(lease.token, now) ?? null,
      cause: cause instanceof Error ? cause.message : null,
      count: 1,
    })
  }

  add(row: LossRow): void {
    this.#rows[this.#next] = row
    this.#next = (this.#next + 1) % KEPT
    this.#added += 1
  }

  /** The latest first. @param since what `added` was: only later ones. */
  latest(since = 0): LossRow[] {
    const count = Math.min(this.#added - since, this.#rows.length)
    return Array.from({ length: count }, (_, age) => this.#rows[(this.#next - 1 - age + 2 * KEPT) % KEPT] as LossRow)
  }
}
