/** The failed entries of an answered batch of renewals. */
import type { ChangeOutcome, Routing, Unknown } from '../backend.ts'
import { UnavailableError } from '../errors.ts'
import type { LeaseCohort, LeaseRecord } from '../lease/lease-record.ts'
import type { LeaseTable } from '../lease/lease-table.ts'
import { notHeld, takeWaiters } from '../lease/record-facts.ts'
import { unanswered } from '../requests/unanswered.ts'
import type { Clock } from '../time/clock.ts'
import type { RenewalBatch } from './renewal-batch.ts'

export interface FailureParts {
  readonly table: LeaseTable
  readonly clock: Clock
  readonly onFault: (fault: unknown) => void
}

/** Members of a cohort whose renewals were not answered. */
export interface CohortFailure {
  readonly records: LeaseRecord[]
  /** The error of the first of them. */
  readonly error: Error
}

export interface Failures {
  readonly byCohort: ReadonlyMap<LeaseCohort, CohortFailure> | undefined
  readonly count: number
}

export const NO_OUTCOME: UnavailableError = new UnavailableError('The backend gave no outcome for a renewal')

/** Ends the refused leases. @returns the unanswered ones. */
export function failuresOf(
  batch: RenewalBatch,
  outcomes: readonly (ChangeOutcome | undefined)[],
  { table, clock, onFault }: FailureParts,
): Failures {
  let byCohort: Map<LeaseCohort, CohortFailure> | undefined
  let count = 0
  for (const [index, record] of batch.records.entries()) {
    const outcome = outcomes[index]
    if (outcome?.type === 'done') continue
    if (outcome?.type === 'refused') {
      try {
        table.apply(record, { type: 'refused', now: clock.now(), reason: outcome.reason })
        continue
      } catch (fault) {
        onFault(fault)
      }
    }
    count += 1
    const { cohort } = record
    if (cohort === undefined) continue
    byCohort ??= new Map()
    const failure = byCohort.get(cohort)
    if (failure) failure.records.push(record)
    else byCohort.set(cohort, { records: [record], error: (outcome as Unknown | undefined)?.error ?? NO_OUTCOME })
  }
  return { byCohort, count }
}

export function isAnswer(outcome: ChangeOutcome | undefined): boolean {
  return outcome !== undefined && outcome.type !== 'unknown'
}

/** A renewal of a cohort failed or is overdue: applies that, and tells those who asked for it. */
export function tellFailure(table: LeaseTable, cohort: LeaseCohort, error: Error): void {
  const waiting = takeWaiters(cohort)
  try {
    table.fail(cohort, error)
  } finally {
    for (const { record, waiter } of waiting) {
      waiter.reject(record.cohort ? notRenewed(record.key, error) : notHeld(record))
    }
  }
}

/** @param what did not happen within the timeout of the cohort. */
export function overdue(what: string, { terms, route }: LeaseCohort, routing: Routing | undefined): UnavailableError {
  return unanswered(`${what} within ${terms.timeout} ms`, routing?.faultOf(route))
}

function notRenewed(key: string, cause: Error): UnavailableError {
  return new UnavailableError(`Lock \`${key}\` could not be renewed: ${cause.message}`, key, { cause })
}
