/** What a manager counts, and the report it gives of it. Fixed size. */
import { Histogram, type HistogramSummary } from './structures/histogram.ts'
import type { LossReason } from './rules/lease-state.ts'

/** How the renewals of a manager come along. */
export interface LoadReport {
  /** How long renewals waited to be sent after they were due, as a part of their ttl: the longest within the last second. At 2/3 leases are lost. */
  readonly lag: number
  /** Leases whose renewal waits to be sent. */
  readonly behind: number
  /** Renewals per second that the server confirmed while others waited to be sent; 0 if none ever had to wait. */
  readonly capacity: number
  /** Renewals per second that are needed: three per ttl of each lease. */
  readonly demand: number
  /** Whether one has waited for more than a sixth of its ttl within the last second. */
  readonly overloaded: boolean
}

/** A report of `manager.stats()`. Counts run from the manager's creation; durations are ms. */
export interface LeaseManagerStats {
  /** Leases held now, those in jeopardy included. */
  readonly held: number
  /** Of these, leases whose last renewal failed. */
  readonly jeopardy: number
  /** Callers that have asked for a lock and have no answer yet, those in line behind another included. */
  readonly waiting: number
  /** Keys that they have asked for: a queue for each. */
  readonly queues: number
  /** Keys that are being deleted: releases that have not been answered, leases lost by time, and what was acquired by a request that nobody waits for any more. */
  readonly undoing: number
  /** Leases that were acquired or adopted. */
  readonly acquired: number
  /** How often the backend was asked for a lock, and how often for each lease that was acquired (0 before the first one). */
  readonly asks: number
  readonly asksPerGrant: number
  /** How often callers that wait were given cause to ask again, by cause; some causes are not followed, or not at once. */
  readonly wakeUps: Readonly<Record<WakeUpCause, number>>
  readonly released: number
  readonly lost: Readonly<Record<LossReason, number>>
  /** Renewals that were confirmed. */
  readonly renewals: number
  /** Renewals that failed or were not answered in time. */
  readonly failures: number
  /** Requests sent to the backend, each for a batch of keys. */
  readonly requests: number
  /** Whether the server tells of changes: see the option `watch`. */
  readonly watching: boolean
  /** Timers armed now: 1 while anything is held or waited for, otherwise 0. */
  readonly timers: number
  /** Whether renewals keep up, and how far behind they are if not. */
  readonly load: LoadReport
  /** How late renewals were sent after they fell due. */
  readonly renewalLag: HistogramSummary
  /** Time from the sending of a request to its answer. */
  readonly roundTrip: HistogramSummary
}

/**
 * `handOver`: the lock was given back in this process. `change`: the server told of a change of the key. `reconnect`: changes may have
 * gone untold. `timeout`: the pause of the strategy was over, or the holder's ttl.
 */
export type WakeUpCause = 'handOver' | 'change' | 'reconnect' | 'timeout'

/** The running counts behind the report. */
export class Tally {
  acquired = 0
  asks = 0
  readonly wakeUps: Record<WakeUpCause, number> = { handOver: 0, change: 0, reconnect: 0, timeout: 0 }
  released = 0
  renewals = 0
  failures = 0
  requests = 0
  readonly lost: Record<LossReason, number> = { expired: 0, taken: 0, missing: 0, maxHold: 0 }
  readonly renewalLag: Histogram = new Histogram()
  readonly roundTrip: Histogram = new Histogram()

  report(
    now: Pick<
      LeaseManagerStats,
      'held' | 'jeopardy' | 'waiting' | 'queues' | 'undoing' | 'watching' | 'timers' | 'load'
    >,
  ): LeaseManagerStats {
    return {
      ...now,
      acquired: this.acquired,
      asks: this.asks,
      asksPerGrant: this.acquired === 0 ? 0 : this.asks / this.acquired,
      wakeUps: { ...this.wakeUps },
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
