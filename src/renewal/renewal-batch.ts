/** One request for renewals that was sent. */
import type { LeaseCohort, LeaseRecord } from '../lease/lease-record.ts'
import type { Alarm } from '../time/scheduler.ts'

export class RenewalBatch {
  /** When it was sent: before its first byte was written. */
  readonly sentAt: number
  /** Others may be split off from them. */
  readonly cohorts: LeaseCohort[]
  /** All their members at that time, in the order in which they are answered. */
  readonly records: readonly LeaseRecord[]
  /** Rings when the answer is overdue, or one of the cohorts is over. */
  alarm: Alarm | undefined = undefined
  /** Answered, or given up. */
  over = false

  constructor(sentAt: number, cohorts: LeaseCohort[]) {
    this.sentAt = sentAt
    this.cohorts = cohorts
    this.records =
      cohorts.length === 1 ? (cohorts[0] as LeaseCohort).members : cohorts.flatMap((cohort) => cohort.members)
  }
}
