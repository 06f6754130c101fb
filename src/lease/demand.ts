/** How many renewals the leases of a manager need, and how many wait to be sent: running counts, so that a report takes constant time. */
import { RENEWALS_PER_TTL } from '../rules/timing.ts'
import type { CohortTerms, DemandMeter } from './cohort.ts'

/** Parts of a renewal per second. Sums of whole parts are exact, so nothing is left once the last lease has ended. */
const PARTS = 1e8

export class Demand implements DemandMeter {
  #parts = 0
  #behind = 0

  /** Renewals per second. */
  get demand(): number {
    return this.#parts / PARTS
  }

  /** Leases whose renewals wait to be sent. */
  get behind(): number {
    return this.#behind
  }

  onMembers({ ttl, autoRenew }: CohortTerms, count: number): void {
    if (autoRenew) this.#parts += Math.round((RENEWALS_PER_TTL * 1_000 * PARTS) / ttl) * count
  }

  onQueued(count: number): void {
    this.#behind += count
  }
}
