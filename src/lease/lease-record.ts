/** One lease as the manager keeps it: mutable facts that users never see. */
import type { ReleaseEntry, Stay } from '../backend.ts'
import type { Cohort, Member } from './cohort.ts'
import type { LeaseState } from '../rules/lease-state.ts'
import type { Doubt } from '../rules/doubt.ts'
import type { LeaseLostError } from '../errors.ts'
import type { Lease, LeaseEnd } from './lease.ts'
import type { Fairness } from '../rules/fairness.ts'
import type { Joint } from '../rules/sharing.ts'

/** A release under way. */
export interface PendingRelease {
  /** Whether this release is known to have deleted the key of the lease. */
  outcomeOf(record: LeaseRecord): Promise<boolean>
}

/** A caller that waits for the outcome of a renewal. */
export interface RenewalWaiter {
  resolve(): void
  reject(error: Error): void
}

/** The promise behind `lease.ended`. */
interface Ending {
  readonly promise: Promise<LeaseEnd>
  resolve(end: LeaseEnd): void
}

/** Facts that few leases have. They are kept apart, so that a million other leases are smaller. */
class Rarities {
  /** When `maxHold` ends the lease; undefined without one, and until the lease is granted. */
  retireAt: number | undefined = undefined
  /** The id of its entry in the wheel for `maxHold`; -1 without one. */
  alarm = -1
  /** Its place in the memory that a keeper shares; -1 without one. */
  slot = -1
  waiters: RenewalWaiter[] | undefined = undefined
  /** The hand-overs of the lock so far; undefined if no caller had to wait for it. */
  fairness: Fairness | undefined = undefined
  /** Unanswered requests from before the grant: the server may still carry out each, even after the lease has ended. */
  doubt: Doubt | undefined = undefined
  /** It reserves a joint lease of a key that may have changed since. */
  hinted = false
  /** The loss, if the lease was lost. */
  loss: LeaseLostError | undefined = undefined
  /** The reason of its signal, if a release or `close` aborted that. */
  givenBack: Error | undefined = undefined
  /** How long the key stays after a release; undefined if a release deletes it. */
  stay: Stay | undefined = undefined
  /** Created on the first read of `signal`. */
  controller: AbortController | undefined = undefined
  /** Created on the first read of `ended`. */
  ending: Ending | undefined = undefined
}

const NO_RANK = -1
/** Instead of a rank in a cohort: the closing manager gave the lease back. */
const CLOSED = -3

const NONE: Readonly<Rarities> = new Rarities()

/** One object for all leases that one answer grants. */
export interface LeaseTerms {
  /** ms. */
  readonly ttl: number
  /** How long a request for the lease may stay unanswered, in ms. */
  readonly timeout: number
  /** Given if others may hold the key as well. */
  readonly joint?: Joint | undefined
  /** None until the lease is granted. */
  readonly fence?: number
  /** In ms on the clock, rounded; none until the lease is granted. */
  readonly grantedAt?: number
}

/** A cohort of leases. */
export type LeaseCohort = Cohort<LeaseRecord>

export class LeaseRecord implements ReleaseEntry, Member<LeaseRecord> {
  readonly key: string
  readonly token: string
  /** Other leases may share this object. */
  terms: LeaseTerms
  /** While this is `held`, the cohort knows whether the lease is in jeopardy. `reserved`: there is no lease yet. */
  state: Exclude<LeaseState, 'jeopardy'> | 'reserved' = 'held'
  /** Its cohort, and its rank there; none before the grant, and none once it is not held. */
  cohort: LeaseCohort | undefined = undefined
  rank: number = NO_RANK
  /** The release under way, if there is one. */
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

  /** Given if others may hold the key as well. */
  get joint(): Joint | undefined {
    return this.terms.joint
  }

  /** 0 until the lease is granted. */
  get fence(): number {
    return this.terms.fence ?? 0
  }

  /** In ms on the clock, rounded. 0 until the lease is granted. */
  get grantedAt(): number {
    return this.terms.grantedAt ?? 0
  }

  /** Whether it is in the table only to reserve its key. */
  get reserving(): boolean {
    return this.state === 'reserved'
  }

  /** Whether the closing manager gave it back. */
  get closed(): boolean {
    return this.rank === CLOSED
  }

  markClosed(): void {
    this.rank = CLOSED
  }

  /** See `ReleaseEntry.stay`. */
  get stay(): Stay | undefined {
    return this.#rarities?.stay
  }

  /** Its rare facts, for reading only. */
  get has(): Readonly<Rarities> {
    return this.#rarities ?? NONE
  }

  /** Its rare facts, for writing. */
  get own(): Rarities {
    this.#rarities ??= new Rarities()
    return this.#rarities
  }
}
