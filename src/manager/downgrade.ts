/**
 * Makes a reader of a writer. From the call on each renewal says that the lease is a reader, and the server makes it one. So a downgrade without an
 * answer is done by the next renewal.
 */
import type { ChangeOutcome } from '../backend.ts'
import { UnavailableError } from '../errors.ts'
import type { LeaseRecord } from '../lease/lease-record.ts'
import type { LeaseTable } from '../lease/lease-table.ts'
import { notHeld } from '../lease/record-facts.ts'
import type { Dispatch } from '../requests/dispatch.ts'
import { isActive } from '../rules/lease-state.ts'
import type { Joint } from '../rules/sharing.ts'
import type { Clock } from '../time/clock.ts'

export interface DowngradeParts {
  readonly clock: Clock
  readonly table: LeaseTable
  readonly dispatch: Pick<Dispatch, 'renew'>
  /** The server does not notify a manager of its own changes. */
  readonly onChangedHere: (key: string) => void
}

/** See `Lease.downgrade`. @param ended settles at the end of the lease: a renewal of it that was not sent by then never is. */
export async function downgrade(parts: DowngradeParts, record: LeaseRecord, ended: Promise<unknown>): Promise<void> {
  const { table, clock, onChangedHere } = parts
  const { joint, key } = record
  if (joint === undefined || joint.mode === 'permit') {
    throw new TypeError(`Lease of \`${key}\` is no writer: only \`mode: 'write'\` can be downgraded`)
  }
  if (!isActive(table.observe(record))) throw notHeld(record)
  if (joint.mode === 'write') becomeReader(record, joint)
  const outcome = await Promise.race([renewed(parts, record), ended.then(() => undefined)])
  if (outcome === undefined) throw notHeld(record)
  switch (outcome.type) {
    case 'done':
      onChangedHere(key)
      return
    case 'refused':
      table.apply(record, { type: 'refused', now: clock.now(), reason: outcome.reason })
      throw notHeld(record)
    case 'unknown': {
      const { error: cause } = outcome
      throw new UnavailableError(`Lease of \`${key}\` was not downgraded yet: ${cause.message}`, key, { cause })
    }
    default:
      outcome satisfies never
  }
}

function becomeReader(record: LeaseRecord, joint: Joint): void {
  const { ttl, timeout, fence, grantedAt } = record
  record.terms = { ttl, timeout, fence, grantedAt, joint: { ...joint, mode: 'read' } }
  record.cohort?.onChanged()
}

function renewed({ dispatch, table, clock }: DowngradeParts, record: LeaseRecord): Promise<ChangeOutcome> {
  const { key, token, ttl, timeout, joint } = record
  return new Promise((resolve) => {
    dispatch.renew({
      key,
      token,
      ttl,
      timeout,
      joint,
      settle: resolve,
      // A definite refusal counts however late it comes (P18).
      settleLate: (outcome) => {
        if (outcome.type === 'refused')
          table.apply(record, { type: 'refused', now: clock.now(), reason: outcome.reason })
      },
      // No lease is renewed after its end (P12).
      get wanted() {
        return record.cohort !== undefined
      },
    })
  })
}
