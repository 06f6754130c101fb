/**
 * How many leases a manager has, how many renewals they need, and how many of those wait to be sent: running counts, for each server and for all, so
 * that a report takes constant time.
 */
import { RENEWALS_PER_TTL } from '../rules/timing.ts'
import type { CohortTerms, DemandMeter } from './cohort.ts'

/** Parts of a renewal per second. Sums of whole parts are exact, so nothing is left once the last lease has ended. */
const PARTS = 1e8

/** What some leases need. */
export interface Need {
  readonly leases: number
  /** Renewals per second. */
  readonly demand: number
  /** Leases whose renewals wait to be sent. */
  readonly behind: number
}

class Count implements Need {
  leases = 0
  behind = 0
  parts = 0

  get demand(): number {
    return this.parts / PARTS
  }
}

const NOTHING: Need = new Count()

export class Demand extends Count implements DemandMeter {
  /** By route, from -1 on. A route without leases has none. */
  readonly #routes: (Count | undefined)[] = []

  /** What the leases of one server need: those whose renewals went there last, or will go there first. */
  of(route: number): Need {
    return this.#routes[route + 1] ?? NOTHING
  }

  onMembers({ ttl, autoRenew }: CohortTerms, count: number, route: number): void {
    const parts = autoRenew ? Math.round((RENEWALS_PER_TTL * 1_000 * PARTS) / ttl) * count : 0
    const own = this.#at(route)
    this.leases += count
    this.parts += parts
    own.leases += count
    own.parts += parts
    this.#tidy(own, route)
  }

  onQueued(count: number, route: number): void {
    const own = this.#at(route)
    this.behind += count
    own.behind += count
    this.#tidy(own, route)
  }

  #at(route: number): Count {
    return (this.#routes[route + 1] ??= new Count())
  }

  #tidy({ leases, behind }: Count, route: number): void {
    if (leases === 0 && behind === 0) this.#routes[route + 1] = undefined
  }
}
