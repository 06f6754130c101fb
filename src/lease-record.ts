/**
 * One lease as the manager keeps it: the facts, mutable, and never shown to users. May import types only.
 */
import type { LockEntry } from './backend.ts'
import type { LeaseLimits, LeaseState } from './core/lease-state.ts'
import type { Lease } from './lease.ts'
import type { LeaseSettings } from './options.ts'
import type { Flight } from './flight.ts'

/** Somebody who waits for the outcome of a renewal. */
export interface RenewalWaiter {
  resolve(): void
  reject(error: Error): void
}

export class LeaseRecord implements LockEntry, LeaseLimits {
  readonly key: string
  readonly token: string
  readonly ttl: number
  readonly fence: number
  readonly timeout: number
  readonly autoRenew: boolean
  /** When `maxHold` ends it; undefined without one. */
  readonly retireAt: number | undefined

  state: LeaseState = 'held'
  /** Until when it is held, as far as has been confirmed. */
  deadline: number
  /** The renewal that is waiting to be sent, or waiting for its answer: at most one at a time. */
  renewal: Flight | 'queued' | undefined = undefined
  /** Renewals that have failed in a row, and how the last of them did. */
  failures = 0
  failure: Error | undefined = undefined
  waiters: RenewalWaiter[] | undefined = undefined
  /** Its entry in the wheel. */
  alarm = -1
  /** The handle that users have. */
  handle: Lease | undefined = undefined
  /** Made when the signal is asked for. */
  controller: AbortController | undefined = undefined

  constructor(
    entry: LockEntry,
    settings: LeaseSettings,
    granted: { readonly fence: number; readonly deadline: number; readonly at: number },
  ) {
    this.key = entry.key
    this.token = entry.token
    this.ttl = entry.ttl
    this.fence = granted.fence
    this.timeout = settings.timeout
    this.autoRenew = settings.autoRenew
    this.retireAt = settings.maxHold === Number.POSITIVE_INFINITY ? undefined : granted.at + settings.maxHold
    this.deadline = granted.deadline
  }
}
