/**
 * What a manager counts, and the report it gives of it. Fixed size. May import `core/` only.
 */
import { Histogram, type HistogramSummary } from './core/histogram.ts'
import type { LossReason } from './core/lease-state.ts'

/** A report of `manager.stats()`. Counts run from the manager's creation; durations are ms. */
export interface LeaseManagerStats {
  /** Leases held now, those in jeopardy included. */
  readonly held: number
  /** Of these, leases whose last renewal failed. */
  readonly jeopardy: number
  /** Callers that have asked for a lock and have no answer yet, those in line behind another included. */
  readonly waiting: number
  /** Keys that are being deleted: releases that have not been answered, leases lost by time, and what was acquired by a request that nobody waits for any more. */
  readonly undoing: number
  readonly acquired: number
  readonly released: number
  readonly lost: Readonly<Record<LossReason, number>>
  /** Renewals that were confirmed. */
  readonly renewals: number
  /** Renewals that failed or were not answered in time. */
  readonly failures: number
  /** Requests sent to the backend, each for a batch of keys. */
  readonly requests: number
  /** Timers armed now: 1 while anything is held or waited for, otherwise 0. */
  readonly timers: number
  /** How late renewals were sent after they fell due. */
  readonly renewalLag: HistogramSummary
  /** Time from the sending of a request to its answer. */
  readonly roundTrip: HistogramSummary
}

/** The running counts behind the report. */
export class Tally {
  acquired = 0
  released = 0
  renewals = 0
  failures = 0
  requests = 0
  readonly lost: Record<LossReason, number> = { expired: 0, taken: 0, missing: 0, maxHold: 0 }
  readonly renewalLag: Histogram = new Histogram()
  readonly roundTrip: Histogram = new Histogram()

  report(now: Pick<LeaseManagerStats, 'held' | 'jeopardy' | 'waiting' | 'undoing' | 'timers'>): LeaseManagerStats {
    return {
      ...now,
      acquired: this.acquired,
      released: this.released,
      lost: { ...this.lost },
      renewals: this.renewals,
      failures: this.failures,
      requests: this.requests,
      renewalLag: this.renewalLag.summary(),
      roundTrip: this.roundTrip.summary(),
    }
  }
}
