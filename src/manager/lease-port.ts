/** Serves the handles of leases. */
import type { DetachedLease, LeaseEnd, LeasePort } from '../lease/lease.ts'
import type { LeaseRecord } from '../lease/lease-record.ts'
import type { LeaseTable } from '../lease/lease-table.ts'
import { abortReasonOf, endOf, howEnded, notHeld } from '../lease/record-facts.ts'
import type { Releaser } from '../release/releaser.ts'
import type { Renewer } from '../renewal/renewer.ts'
import type { Clock } from '../time/clock.ts'
import { downgrade, type DowngradeParts } from './downgrade.ts'
import { isReleaseTraced, traceRelease } from '../tracing/channels.ts'

export interface LeasePortParts extends DowngradeParts {
  /** The manager, for those who trace it. */
  readonly leases: object
  readonly renewer: Renewer
  readonly releaser: Releaser
}

export function leasePort(parts: LeasePortParts): LeasePort<LeaseRecord> {
  const { leases, clock, table, renewer, releaser } = parts
  return {
    observe: (record) => table.observe(record),
    remaining: (record) => Math.max(endOf(record) - clock.now(), 0),
    signal: (record) => signalOf(table, record),
    ended: (record) => endedOf(table, record),
    renew: (record) => renewer.renew(record),
    release: (record) =>
      isReleaseTraced() ? traceRelease(leases, record, () => releaser.release(record)) : releaser.release(record),
    detach: (record) => detach(table, clock, record),
    downgrade: (record) => downgrade(parts, record, endedOf(table, record)),
  }
}

function detach(table: LeaseTable, clock: Clock, record: LeaseRecord): DetachedLease {
  if (record.cohort === undefined) throw notHeld(record)
  table.apply(record, { type: 'detach', now: clock.now() })
  // If its deadline has passed, it is lost instead, and its key is deleted.
  if (record.state !== 'released') throw notHeld(record)
  const { key, token, fence, ttl, joint } = record
  if (joint === undefined) return { key, token, fence, ttl }
  const { mode, permits, weight } = joint
  return { key, token, fence, ttl, joint: { mode, permits, weight } }
}

function signalOf(table: LeaseTable, record: LeaseRecord): AbortSignal {
  table.observe(record)
  const reason = abortReasonOf(record)
  const { own } = record
  if (own.controller === undefined) {
    own.controller = new AbortController()
    if (reason) own.controller.abort(reason)
  } else if (reason && !own.controller.signal.aborted) {
    // A read must not call listeners: the controller aborts in a turn of its own.
    return AbortSignal.abort(reason)
  }
  return own.controller.signal
}

function endedOf(table: LeaseTable, record: LeaseRecord): Promise<LeaseEnd> {
  const state = table.observe(record)
  if (state === 'lost' || state === 'released') return Promise.resolve(howEnded(record))
  const { own } = record
  own.ending ??= endingOf()
  return own.ending.promise
}

function endingOf(): { readonly promise: Promise<LeaseEnd>; resolve(end: LeaseEnd): void } {
  let resolve: (end: LeaseEnd) => void = () => undefined
  const promise = new Promise<LeaseEnd>((settle) => {
    resolve = settle
  })
  return { promise, resolve: (end) => resolve(end) }
}
