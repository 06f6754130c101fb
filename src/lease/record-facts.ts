/** Facts that follow from the record of a lease. */
import { LockNotHeldError, ManagerClosedError } from '../errors.ts'
import type { LeaseLimits, LeaseState } from '../rules/lease-state.ts'
import type { LeaseEnd } from './lease.ts'
import type { LeaseCohort, LeaseRecord, RenewalWaiter } from './lease-record.ts'

/** Why the signal of a lease is aborted, if it is. */
export function abortReasonOf(record: LeaseRecord): Error | undefined {
  const { loss, givenBack } = record.has
  return loss ?? givenBack ?? (record.closed ? closedUnder(record.key) : undefined)
}

/** How an ended lease ended. */
export function howEnded(record: LeaseRecord): LeaseEnd {
  if (record.state === 'lost') return 'lost'
  return record.closed ? 'closed' : 'released'
}

export function closedUnder(key: string): ManagerClosedError {
  return new ManagerClosedError(key, `Lock \`${key}\` is released because its LeaseManager was closed`)
}

/** The state of a lease, without a look at the clock. */
export function stateOf(record: LeaseRecord): LeaseState {
  return record.cohort ? record.cohort.state : (record.state as LeaseState)
}

/** The error of a lease that is not held; its loss is the cause, if it was lost. */
export function notHeld(record: LeaseRecord): LockNotHeldError {
  return new LockNotHeldError(record.key, record.state, record.has.loss && { cause: record.has.loss })
}

/** Takes all callers that wait for the next renewal of a cohort. Later callers wait for another one. */
export function takeWaiters(cohort: LeaseCohort): { record: LeaseRecord; waiter: RenewalWaiter }[] {
  if (cohort.askers.length === 0) return []
  const { askers } = cohort
  cohort.askers = []
  return askers.flatMap((record) => {
    const { waiters = [] } = record.has
    record.own.waiters = undefined
    return waiters.map((waiter) => ({ record, waiter }))
  })
}

/** When a lease ends if nothing else happens; a time in the past once it has ended. */
export function endOf(record: LeaseRecord): number {
  const { deadline, retireAt } = limitsOf(record)
  return retireAt === undefined ? deadline : Math.min(deadline, retireAt)
}

export function rejectWaiters(record: LeaseRecord): void {
  const { waiters } = record.has
  if (waiters === undefined) return
  record.own.waiters = undefined
  const error = notHeld(record)
  for (const waiter of waiters) waiter.reject(error)
}

const OVER: LeaseLimits = { deadline: Number.NEGATIVE_INFINITY, retireAt: undefined }

export function limitsOf(record: LeaseRecord): LeaseLimits {
  return record.cohort ? { deadline: record.cohort.deadline, retireAt: record.has.retireAt } : OVER
}
