/** The events of a manager. */
import type { LossReason } from '../rules/lease-state.ts'
import type { LeaseLostError } from '../errors.ts'
import type { Lease } from './lease.ts'
import type { LoadReport } from '../stats.ts'

/** A lease was acquired and is held. Comes before the call that asked for it resolves. */
export interface AcquiredEvent {
  readonly lease: Lease
}

/** A renewal was confirmed; the deadline counts from when that renewal was sent. */
export interface RenewedEvent {
  readonly lease: Lease
}

/** A renewal failed or was not answered in time. The lease is still held, for `remaining` ms unless one is confirmed before. */
export interface JeopardyEvent {
  readonly lease: Lease
  readonly error: Error
  /** ms until the deadline. */
  readonly remaining: number
}

/** A lease in jeopardy was confirmed again. */
export interface SafeEvent {
  readonly lease: Lease
}

/** The lease ended against its holder's will: stop the work. */
export interface LostEvent {
  readonly lease: Lease
  readonly reason: LossReason
  /** What `lease.signal` was aborted with; its `cause` is the last failure of a renewal, if there was one. */
  readonly error: LeaseLostError
}

/** The lease was given back, or given away. */
export interface ReleasedEvent {
  readonly lease: Lease
  /** Whether the backend said so. If not, the key is deleted in the background as soon as that is possible, and expires on its own if not. */
  readonly confirmed: boolean
  /** Whether it was detached instead: its key stays, for somebody else to adopt. */
  readonly detached: boolean
}

/**
 * Renewals do not keep up: one has waited for more than a sixth of its ttl to be sent. Told at once, then every second, and a last time, with
 * `overloaded: false`, when that is over.
 */
export type OverloadEvent = LoadReport

/**
 * In the life of one lease: `acquired (renewed | jeopardy safe)* jeopardy? (released | lost)`; exactly one of the last
 * two, and nothing after it.
 */
export interface LeaseEvents {
  acquired: [event: AcquiredEvent]
  renewed: [event: RenewedEvent]
  jeopardy: [event: JeopardyEvent]
  safe: [event: SafeEvent]
  lost: [event: LostEvent]
  released: [event: ReleasedEvent]
  overload: [event: OverloadEvent]
  /** A fault that belongs to no caller: a listener that threw, a connection that broke. */
  error: [error: Error]
}
