/** What the lease table needs from the other parts of a manager. */
import type { LeaseInput } from '../rules/lease-state.ts'
import type { Tally } from '../stats.ts'
import type { Clock } from '../time/clock.ts'
import type { Scheduler } from '../time/scheduler.ts'
import type { LeaseEvents } from './events.ts'
import type { LeaseCohort, LeaseRecord } from './lease-record.ts'

/** Another thread that renews leases while the event loop is blocked, as the table sees it. */
export interface LeaseKeeper {
  /** Leases that the server has refused to the keeper, in all. */
  readonly refusals: number
  /** A lease is held from now on, and has its cohort. */
  onHeld(record: LeaseRecord): void
  /** A lease is not held any more. When this returns, the keeper sends no renewal of it. */
  onEnded(record: LeaseRecord): void
  /** The members of a new cohort come from another one, if it has more than one. */
  onFormed(cohort: LeaseCohort): void
  /** A cohort was confirmed. */
  onConfirmed(cohort: LeaseCohort): void
  /** A cohort ends. @param survivor takes over its members, if it has any. */
  onDismissed(cohort: LeaseCohort, survivor: LeaseCohort | undefined): void
  /** The deadline that the keeper's last confirmation of this lease gives it; -Infinity without one. */
  until(record: LeaseRecord): number
  /** Why the server refused the lease to the keeper, if it did. */
  refusalOf(record: LeaseRecord): 'taken' | 'missing' | undefined
}

/** What the wheel of a manager contains: cohorts for renewals and deadlines, single leases for their `maxHold`. */
export type Scheduled = LeaseCohort | LeaseRecord

/** The listeners of the manager. */
export interface Subscribers {
  listenerCount(event: keyof LeaseEvents): number
  emit<E extends keyof LeaseEvents>(event: E, payload: LeaseEvents[E][0]): unknown
}

export interface LeaseTableParts {
  readonly clock: Clock
  readonly scheduler: Scheduler<Scheduled>
  readonly tally: Tally
  readonly driftFactor: number
  /** Makes the slots of chosen keys unpredictable: 0 <= seed < 1. */
  readonly seed: number
  readonly subscribers: Subscribers
  /** A lease has ended here. @param givenBack when its owner released it; undefined if it was lost. */
  readonly onVacated: (record: LeaseRecord, givenBack: number | undefined) => void
  /** Whether a key has a line of waiters. */
  readonly isQueued: (key: string) => boolean
  /** Whether `using` runs work under the lease: its signal aborts before the lock is given back. */
  readonly isInUse: (record: LeaseRecord) => boolean
  /** None if nobody renews while the event loop is blocked. */
  readonly keeper?: LeaseKeeper | undefined
  /** A lease was lost whose key may still exist, or may be created later. */
  readonly onAbandoned: (record: LeaseRecord) => void
}

/** What can happen to a single lease. A confirmed or failed renewal concerns its whole cohort. */
export type RecordInput = Exclude<LeaseInput, { type: 'confirmed' | 'unanswered' }>
