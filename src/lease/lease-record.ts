/** One lease as the manager keeps it: the facts, mutable, and never shown to users. */
import type { LockEntry } from '../backend.ts'
import type { Cohort, Member } from './cohort.ts'
import type { LeaseState } from '../rules/lease-state.ts'
import type { Doubt } from '../rules/doubt.ts'
import type { LeaseLostError } from '../errors.ts'
import type { Lease, LeaseEnd } from './lease.ts'
import type { Fairness } from '../rules/fairness.ts'

/** A release under way. */
export interface PendingRelease {
  /** Whether the key of this lease is known to have been deleted by it. */
  outcomeOf(record: LeaseRecord): Promise<boolean>
}

/** Somebody who waits for the outcome of a renewal. */
export interface RenewalWaiter {
  resolve(): void
  reject(error: Error): void
}

/** Somebody who wants to know how a lease ends. */
interface Ending {
  readonly promise: Promise<LeaseEnd>
  resolve(end: LeaseEnd): void
}

/** What few leases have: kept apart, so that a million others are smaller. */
class Rarities {
  /** When `maxHold` ends it; undefined without one, and until it is granted. */
  retireAt: number | undefined = undefined
  /** Its entry in the wheel, for the sake of `maxHold`; -1 without one. */
  alarm = -1
  waiters: RenewalWaiter[] | undefined = undefined
  /** How the lock came here from hand to hand; undefined where nobody had to wait for it. */
  fairness: Fairness | undefined = undefined
  /** Requests for its key that were not answered before another was granted: each may still be carried out, even when the lease has ended. */
  doubt: Doubt | undefined = undefined
  /** How it was lost. */
  loss: LeaseLostError | undefined = undefined
  /** Why its signal was aborted before, or because, it was given back. */
  givenBack: Error | undefined = undefined
  /** Made when the signal is asked for. */
  controller: AbortController | undefined = undefined
  /** Made when somebody asks how it ends. */
  ending: Ending | undefined = undefined
}

const NO_PLACE = -1
/** Instead of a place in a cohort: it was given back because the manager closed. */
const CLOSED = -3

const NONE: Readonly<Rarities> = new Rarities()

/** What leases that are granted by one answer have in common: one object for all of them. */
export interface LeaseTerms {
  /** ms. */
  readonly ttl: number
  /** How long a request for it may stay unanswered, in ms. */
  readonly timeout: number
  /** None until it is granted. */
  readonly fence?: number
}

/** Leases that are renewed together. */
export type LeaseCohort = Cohort<LeaseRecord>

export class LeaseRecord implements LockEntry, Member<LeaseRecord> {
  readonly key: string
  readonly token: string
  /** Others may have the same object. */
  terms: LeaseTerms
  /** Its own part of its state: while it is `held`, its cohort knows whether it is in jeopardy. `reserved`: there is no lease yet. */
  state: Exclude<LeaseState, 'jeopardy'> | 'reserved' = 'held'
  /** With whom it is renewed, and its place there; none until it is granted, and once it is not held. */
  cohort: LeaseCohort | undefined = undefined
  place: number = NO_PLACE
  /** What its owner's release waits for. */
  release: PendingRelease | undefined = undefined
  /** The handle that users have. */
  handle: Lease | undefined = undefined
  #rarities: Rarities | undefined = undefined

  constructor(key: string, token: string, terms: LeaseTerms) {
    this.key = key
    this.token = token
    this.terms = terms
  }

  /** ms. */
  get ttl(): number {
    return this.terms.ttl
  }

  /** ms. */
  get timeout(): number {
    return this.terms.timeout
  }

  /** 0 until it is granted. */
  get fence(): number {
    return this.terms.fence ?? 0
  }

  /** Whether it stands in the table only to reserve its key. */
  get reserving(): boolean {
    return this.state === 'reserved'
  }

  /** Whether it was given back because the manager closed. */
  get closed(): boolean {
    return this.place === CLOSED
  }

  markClosed(): void {
    this.place = CLOSED
  }

  /** What it has of what few have; to be read only. */
  get has(): Readonly<Rarities> {
    return this.#rarities ?? NONE
  }

  /** The same, to be changed. */
  get own(): Rarities {
    this.#rarities ??= new Rarities()
    return this.#rarities
  }
}
