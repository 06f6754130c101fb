/**
 * One lease as the manager keeps it: the facts, mutable, and never shown to users. May import types only.
 */
import type { LockEntry } from './backend.ts'
import type { Cohort } from './cohort.ts'
import type { LeaseState } from './core/lease-state.ts'
import type { LeaseLostError } from './errors.ts'
import type { Lease } from './lease.ts'
import type { Turns } from './turns.ts'

/** Somebody who waits for the outcome of a renewal. */
export interface RenewalWaiter {
  resolve(): void
  reject(error: Error): void
}

export class LeaseRecord implements LockEntry {
  readonly key: string
  readonly token: string
  /** ms. */
  readonly ttl: number
  readonly fence: number
  /** ms. */
  readonly timeout: number
  /** When `maxHold` ends it; undefined without one. */
  readonly retireAt: number | undefined
  /** Its own part of its state: while it is `held`, its cohort knows whether it is in jeopardy. */
  state: Exclude<LeaseState, 'jeopardy'> = 'held'
  /** With whom it is renewed, and its place there; none once it is not held. */
  cohort: Cohort | undefined = undefined
  place = -1
  waiters: RenewalWaiter[] | undefined = undefined
  /** Its entry in the wheel, for the sake of `maxHold`; -1 without one. */
  alarm = -1
  /** How the lock came here from hand to hand; undefined where nobody had to wait for it. */
  turns: Turns | undefined = undefined
  /** How it was lost. */
  loss: LeaseLostError | undefined = undefined
  /** The handle that users have. */
  handle: Lease | undefined = undefined
  /** Made when the signal is asked for. */
  controller: AbortController | undefined = undefined

  constructor(entry: LockEntry, fence: number, timeout: number, retireAt: number | undefined) {
    this.key = entry.key
    this.token = entry.token
    this.ttl = entry.ttl
    this.fence = fence
    this.timeout = timeout
    this.retireAt = retireAt
  }
}
