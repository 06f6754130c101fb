/** A batch of renewals that was sent. */
import type { LeaseCohort, LeaseRecord } from '../lease/lease-record.ts'
import type { Alarm } from '../time/scheduler.ts'

export class RenewalBatch {
  /** When it was sent: before its first byte was written. */
  readonly sentAt: number
  /** The list grows if a cohort is split. */
  readonly cohorts: LeaseCohort[]
  /** All their members at the sending, in the order of the answers. */
  readonly records: readonly LeaseRecord[]
  /** Rings if the answer is overdue, or at the deadline of a cohort. */
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
