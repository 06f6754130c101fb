/**
 * What follows a grant, whatever request it answers: the one place that makes leases.
 *
 *     granted ──its deadline has passed──▶ late: the key is deleted again
 *        └──▶ placed, announced ──▶ held; if a change came while it was asked for, it is verified
 *                    │ └──a listener of `acquired` released or detached it──▶ ended
 *                    └──a listener took so long that it expired, or learned that it is gone──▶ lost
 */
import { isActive } from '../rules/lease-state.ts'
import { deadlineOf } from '../rules/timing.ts'
import { type Doubt, grantedAfter } from '../rules/doubt.ts'
import type { Joint } from '../rules/sharing.ts'
import type { CohortTerms } from '../lease/cohort.ts'
import { Lease, type LeasePort } from '../lease/lease.ts'
import type { LeaseRecord, LeaseTerms } from '../lease/lease-record.ts'
import type { LeaseTable } from '../lease/lease-table.ts'
import type { AcquireSettings } from '../options/settings.ts'
import type { Releaser } from '../release/releaser.ts'
import type { Renewer } from '../renewal/renewer.ts'
import type { Verifier } from '../renewal/verifier.ts'
import type { Clock } from '../time/clock.ts'

export interface GrantingParts {
  readonly clock: Clock
  readonly table: LeaseTable
  readonly renewer: Pick<Renewer, 'join'>
  readonly verifier: Verifier
  readonly releaser: Releaser
  readonly driftFactor: number
  readonly port: LeasePort<LeaseRecord>
  /** Whether there are listeners that may end a lease while it is announced. */
  readonly isHeardOf: () => boolean
}

/** The keys that one request acquires may share it. */
export interface Grant {
  readonly fence: number
  /** When the request was sent. */
  readonly sentAt: number
  readonly settings: CohortTerms & Pick<AcquireSettings, 'maxHold' | 'joint'>
}

export type GrantResult = 'held' | 'ended' | 'lost' | 'late'

export class Granting {
  readonly #parts: GrantingParts
  /** The terms of the last lease: leases granted by one request share them. */
  #terms = new GrantedTerms({ ttl: 0, timeout: 0, joint: undefined }, 0, 0)
  #sentAt = Number.NaN
  #grantedAt = 0

  constructor(parts: GrantingParts) {
    this.#parts = parts
  }

  /** When the last grant came, in ms on the clock. */
  get grantedAt(): number {
    return this.#grantedAt
  }

  /** A grant has come. @returns whether that was after the deadline of its lease. */
  isLate(sentAt: number, ttl: number): boolean {
    const { clock, driftFactor } = this.#parts
    this.#grantedAt = clock.now()
    return this.#grantedAt >= deadlineOf(sentAt, ttl, driftFactor)
  }

  /** For a request of this manager: if the grant came too late, deletes its key again. See `make`. */
  take(record: LeaseRecord, grant: Grant, stale: boolean, doubt: Doubt | undefined): GrantResult {
    const { sentAt, settings } = grant
    if (!this.isLate(sentAt, settings.ttl)) return this.make(record, grant, stale, doubt)
    this.#parts.releaser.undo(record, grantedAfter(doubt, sentAt, settings.ttl))
    return 'late'
  }

  /**
   * Makes a lease of a grant that came in time, as `isLate` has just said.
   *
   * @param stale whether a hint about the key came during the request: the answer may be older.
   * @param doubt earlier unanswered requests for the key: the server may still carry out each.
   * @throws whatever the user's own functions throw meanwhile. No lease is left then.
   */
  make(record: LeaseRecord, grant: Grant, stale: boolean, doubt: Doubt | undefined): Exclude<GrantResult, 'late'> {
    const { fence, sentAt, settings } = grant
    const { clock, table, renewer, verifier, port, isHeardOf } = this.#parts
    if (doubt) record.own.doubt = doubt
    record.terms = this.#termsOf(settings, fence, sentAt)
    record.handle = new Lease(record, port)
    let announced = false
    try {
      const mayHaveEnded = table.place(record) || isHeardOf()
      renewer.join(record, settings, sentAt)
      if (settings.maxHold !== Number.POSITIVE_INFINITY) table.limit(record, clock.now() + settings.maxHold)
      announced = true
      table.announce(record)
      if (mayHaveEnded && !isActive(table.observe(record))) return record.state === 'lost' ? 'lost' : 'ended'
    } catch (fault) {
      table.withdraw(record, announced)
      throw fault
    }
    if (stale) verifier.verify(record)
    return 'held'
  }

  #termsOf({ ttl, timeout, joint }: Grant['settings'], fence: number, sentAt: number): LeaseTerms {
    const { terms, fence: last } = this.#terms
    const differs = ttl !== terms.ttl || timeout !== terms.timeout || joint !== terms.joint
    if (differs || fence !== last || sentAt !== this.#sentAt) {
      // A whole number takes no object of its own.
      const grantedAt = Math.round(this.#grantedAt)
      this.#terms = new GrantedTerms(differs ? { ttl, timeout, joint } : terms, fence, grantedAt)
      this.#sentAt = sentAt
    }
    return this.#terms
  }
}

/** One for each request. Most requests of a manager have the same ttl and timeout, and share these. */
class GrantedTerms implements LeaseTerms {
  readonly terms: Pick<LeaseTerms, 'ttl' | 'timeout' | 'joint'>
  readonly fence: number
  readonly grantedAt: number

  constructor(terms: Pick<LeaseTerms, 'ttl' | 'timeout' | 'joint'>, fence: number, grantedAt: number) {
    this.terms = terms
    this.fence = fence
    this.grantedAt = grantedAt
  }

  get ttl(): number {
    return this.terms.ttl
  }

  get timeout(): number {
    return this.terms.timeout
  }

  get joint(): Joint | undefined {
    return this.terms.joint
  }
}
