/** The events of a manager. */
import type { LossReason } from '../rules/lease-state.ts'
import type { LeaseLostError } from '../errors.ts'
import type { Lease } from './lease.ts'
import type { Member } from '../member.ts'
import type { LoadReport, Measurement } from '../stats.ts'

/** A lease was acquired or adopted, and is held. The event comes before the call that asked for it resolves. */
export interface AcquiredEvent {
  readonly lease: Lease
}

/** A renewal was confirmed. The new deadline counts from when that renewal was sent. */
export interface RenewedEvent {
  readonly lease: Lease
}

/** A renewal failed or is overdue. The lease is still held; it is lost after `remaining` ms unless a renewal is confirmed before. */
export interface JeopardyEvent {
  readonly lease: Lease
  readonly error: Error
  /** ms until the deadline. */
  readonly remaining: number
}

/** A renewal of a lease in jeopardy was confirmed. */
export interface SafeEvent {
  readonly lease: Lease
}

/** The lease ended against its holder's will: stop the work. */
export interface LostEvent {
  readonly lease: Lease
  readonly reason: LossReason
  /** The error with which `lease.signal` aborted; its `cause` is the last failed renewal, if there was one. */
  readonly error: LeaseLostError
}

/** The owner released the lease, or detached it. */
export interface ReleasedEvent {
  readonly lease: Lease
  /** Whether the backend confirmed the release. If not, the manager deletes the key in the background, or the key expires. */
  readonly confirmed: boolean
  /** Whether the owner detached the lease: its key stays, for another process to adopt. */
  readonly detached: boolean
}

/**
 * Renewals do not keep up: one has waited to be sent for more than a sixth of its ttl. The manager emits this at once, then every second, and
 * a last time with `overloaded: false` when it is over.
 */
export type OverloadEvent = LoadReport

/** A manager with the same prefix has announced itself, or is not announced any more. */
export interface MemberEvent {
  readonly member: Member
}

/** The backend can be asked from now on. */
export interface ConnectedEvent {
  /** For how long it could not be asked, in ms; for the first connection, since the manager was made. */
  readonly after: number
}

/** The backend cannot be asked any more. Leases stay held until their deadlines, and the manager goes on trying. */
export interface DisconnectedEvent {
  /** Why, if that is known. */
  readonly error: Error | undefined
}

/**
 * Every lease emits `acquired (renewed | jeopardy safe)* jeopardy? (released | lost)`: exactly one last event, and none
 * after it.
 */
export interface LeaseEvents {
  acquired: [event: AcquiredEvent]
  renewed: [event: RenewedEvent]
  jeopardy: [event: JeopardyEvent]
  safe: [event: SafeEvent]
  lost: [event: LostEvent]
  released: [event: ReleasedEvent]
  overload: [event: OverloadEvent]
  /** Another manager with this prefix has announced itself: see the option `announce`. */
  joined: [event: MemberEvent]
  /** Another manager has closed, or died: it is not announced any more. Its counts are those of the time at which it joined. */
  left: [event: MemberEvent]
  connected: [event: ConnectedEvent]
  disconnected: [event: DisconnectedEvent]
  /** For exporters: each duration that the histograms of `stats()` count, as it is measured. It may come thousands of times a second. */
  measured: [event: Measurement]
  /**
   * A fault that belongs to no caller, such as a listener that threw or a connection that broke. If nobody listens, faults become process
   * warnings: one per manager for connections and servers, with the code `LEASEWHEEL_UNHEARD_ERROR`, and one for each other fault.
   */
  error: [error: Error]
}
