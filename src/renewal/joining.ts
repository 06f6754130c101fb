/**
 * Which cohort a new lease joins: that of the batch that granted it. If there are several servers, leases of neighbouring places that were granted
 * within a beat share a cohort, whatever batches granted them, and the place says when it is due.
 */
import type { Routing } from '../backend.ts'
import { Cohort, type CohortTerms, type Spread } from '../lease/cohort.ts'
import type { LeaseCohort, LeaseRecord } from '../lease/lease-record.ts'
import type { LeaseTable } from '../lease/lease-table.ts'
import { beatOf, deadlineOf, firstRenewalDue, phaseOf, phaseOfPlace, renewalDue, shareOf } from '../rules/timing.ts'
import type { Clock } from '../time/clock.ts'
import { AT_HOME } from './bundles.ts'

export interface JoiningParts {
  readonly clock: Clock
  readonly batchSize: number
  readonly driftFactor: number
  readonly random: () => number
  readonly table: Pick<LeaseTable, 'demand'>
  /** None if there is one server. */
  readonly routing: Routing | undefined
  /** Takes a new cohort, and when it is due. */
  readonly onFormed: (cohort: LeaseCohort, due: number) => void
}

export interface Joining {
  /** Adds a lease to a cohort. @param sentAt when the request that granted it was sent. */
  join(record: LeaseRecord, terms: CohortTerms, sentAt: number): void
}

export function joiningOf(parts: JoiningParts): Joining {
  return parts.routing ? new PlacedJoining(parts, parts.routing) : new PlainJoining(parts)
}

class PlainJoining implements Joining {
  readonly #parts: JoiningParts
  /** The cohort that leases of the current grant join. */
  #forming: LeaseCohort | undefined

  constructor(parts: JoiningParts) {
    this.#parts = parts
  }

  join(record: LeaseRecord, terms: CohortTerms, sentAt: number): void {
    const forming = this.#forming
    if (forming?.admits(terms, sentAt) && forming.size < this.#parts.batchSize) {
      forming.add(record)
      return
    }
    const { random, onFormed } = this.#parts
    const due = firstRenewalDue(sentAt, terms.ttl, random())
    const cohort = form(this.#parts, record, termsLike(forming, terms), { sentAt, phase: due })
    onFormed(cohort, due)
    this.#forming = cohort
  }
}

class PlacedJoining implements Joining {
  readonly #parts: JoiningParts
  readonly #routing: Routing
  /** The cohorts that leases join, by their server and the phase of their places: those that began within a beat of the first of them. */
  #forming = new Map<number, Map<number, LeaseCohort>>()
  #formingUntil = Number.NEGATIVE_INFINITY

  constructor(parts: JoiningParts, routing: Routing) {
    this.#parts = parts
    this.#routing = routing
  }

  join(record: LeaseRecord, terms: CohortTerms, sentAt: number): void {
    const { batchSize, onFormed } = this.#parts
    const { ttl } = terms
    const place = this.#routing.placeOf(record.key)
    const home = phaseOfPlace(place, this.#routing.places, ttl)
    record.rank = place
    if (sentAt > this.#formingUntil) {
      this.#forming = new Map()
      this.#formingUntil = sentAt + beatOf(ttl)
    }
    const route = this.#routing.routeOf(place)
    let ofRoute = this.#forming.get(route)
    if (ofRoute === undefined) this.#forming.set(route, (ofRoute = new Map<number, LeaseCohort>()))
    const forming = ofRoute.get(home)
    const isFull = forming !== undefined && forming.size >= batchSize
    if (forming && !isFull && this.#admits(forming, place, terms, sentAt)) {
      forming.add(record)
      return
    }
    const isCrowd = isFull && forming.low === place && forming.high === place
    const spread = isCrowd ? { crowd: place } : AT_HOME
    const phase = isCrowd ? phaseOf(shareOf(record.key), ttl) : home
    const cohort = form(this.#parts, record, termsLike(forming, terms), { sentAt, phase }, spread)
    cohort.route = route
    onFormed(cohort, renewalDue(sentAt, ttl, phase))
    ofRoute.set(home, cohort)
  }

  #admits(forming: LeaseCohort, place: number, terms: CohortTerms, sentAt: number): boolean {
    const crowd = forming.spread?.crowd ?? -1
    return (
      (crowd === -1 || crowd === place) &&
      forming.admits(terms, sentAt, beatOf(terms.ttl)) &&
      this.#parts.clock.now() < forming.deadline &&
      forming.route === this.#routing.routeOf(place)
    )
  }
}

function form(
  { driftFactor, table }: JoiningParts,
  record: LeaseRecord,
  terms: CohortTerms,
  { sentAt, phase }: { readonly sentAt: number; readonly phase: number },
  spread?: Spread,
): LeaseCohort {
  const times = { confirmedAt: sentAt, deadline: deadlineOf(sentAt, terms.ttl, driftFactor), phase }
  const cohort = new Cohort<LeaseRecord>(terms, times, table.demand, spread)
  cohort.add(record)
  return cohort
}

/** Terms of its own for a new cohort, or those of another one if they are equal. */
function termsLike(other: LeaseCohort | undefined, terms: CohortTerms): CohortTerms {
  if (other?.hasTerms(terms)) return other.terms
  const { ttl, timeout, autoRenew } = terms
  return { ttl, timeout, autoRenew }
}
