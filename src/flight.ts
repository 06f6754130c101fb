/**
 * One batch of renewals that was sent. May import types only.
 */
import type { LeaseRecord } from './lease-record.ts'
import type { Alarm } from './scheduler.ts'

export class Flight {
  /** When it was sent: before its first byte was written. */
  readonly sentAt: number
  readonly records: readonly LeaseRecord[]
  /** Rings when the answer is overdue, or one of the leases is over. */
  alarm: Alarm | undefined = undefined
  /** Answered, or given up. */
  landed = false

  constructor(sentAt: number, records: readonly LeaseRecord[]) {
    this.sentAt = sentAt
    this.records = records
  }
}
