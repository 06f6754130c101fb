/** A batch of renewals that was sent to one server. */
import type { LeaseCohort, LeaseRecord } from '../lease/lease-record.ts'
import type { Alarm } from '../time/scheduler.ts'
import type { Lane } from './lanes.ts'

export class RenewalBatch {
  /** When it was sent: before its first byte was written. */
  readonly sentAt: number
  /** The list grows if a cohort is split. */
  readonly cohorts: LeaseCohort[]
  readonly lane: Lane
  /** All their members at the sending, in the order of the answers; if there are several servers, in the order of their places. */
  readonly records: readonly LeaseRecord[]
  /** Rings if the answer is overdue, or at the deadline of a cohort. */
  alarm: Alarm | undefined = undefined
  /** Answered, or given up. */
  over = false

  constructor(sentAt: number, cohorts: LeaseCohort[], lane: Lane) {
    this.sentAt = sentAt
    this.cohorts = cohorts
    this.lane = lane
    this.records = membersOf(cohorts)
  }

  /** How many places its keys have, at most. The records of many leases are all over the memory, so none is looked at. */
  get places(): number {
    return this.cohorts.reduce((sum, { low, high, size }) => sum + Math.min(size, high - low + 1), 0)
  }
}

function membersOf(cohorts: readonly LeaseCohort[]): readonly LeaseRecord[] {
  const [first] = cohorts
  if (first === undefined) return []
  if (cohorts.length === 1) return first.members
  const members = cohorts.flatMap((cohort) => cohort.members)
  return first.spread ? members.sort((a, b) => a.rank - b.rank) : members
}
