/**
 * The leases of a manager, and the only place where one changes its state: the transition is looked up, the state set, the
 * consequences drawn, and then the world is told. May import `core/`, the record, the handle, events and errors.
 */
import type { Clock } from './clock.ts'
import { isActive, type LeaseInput, type LossReason, type Transition, transition } from './core/lease-state.ts'
import { deadlineOf } from './core/timing.ts'
import { LeaseLostError, LockNotHeldError } from './errors.ts'
import type { LeaseEvents } from './events.ts'
import type { LeaseRecord } from './lease-record.ts'
import type { Lease } from './lease.ts'
import type { Scheduler } from './scheduler.ts'
import type { Tally } from './stats.ts'

/** How the table tells its manager's subscribers. */
export interface Subscribers {
  listenerCount(event: keyof LeaseEvents): number
  emit<E extends keyof LeaseEvents>(event: E, payload: LeaseEvents[E][0]): unknown
}

export interface LeaseTableParts {
  readonly clock: Clock
  readonly scheduler: Scheduler<LeaseRecord>
  readonly tally: Tally
  readonly driftFactor: number
  readonly subscribers: Subscribers
  /** A key is not leased here any more, from this moment on. */
  readonly onVacated: (key: string) => void
  /** A lease was lost by time while its key may still be there. */
  readonly onAbandoned: (record: LeaseRecord) => void
}

export class LeaseTable {
  readonly #parts: LeaseTableParts
  readonly #records = new Map<string, LeaseRecord>()
  #jeopardy = 0

  constructor(parts: LeaseTableParts) {
    this.#parts = parts
  }

  get size(): number {
    return this.#records.size
  }

  get jeopardy(): number {
    return this.#jeopardy
  }

  has(key: string): boolean {
    return this.#records.has(key)
  }

  get(key: string): LeaseRecord | undefined {
    return this.#records.get(key)
  }

  values(): IterableIterator<LeaseRecord> {
    return this.#records.values()
  }

  /** Takes in a lease that has just been granted, to be woken at `renewAt`. */
  add(record: LeaseRecord, renewAt: number): void {
    const { scheduler, tally } = this.#parts
    this.#records.set(record.key, record)
    record.alarm = scheduler.add(record)
    this.schedule(record, renewAt)
    tally.acquired += 1
    this.#tell('acquired', record, (lease) => ({ lease }))
  }

  /** The state now: a deadline that has passed has its consequences before this returns. */
  observe(record: LeaseRecord): LeaseRecord['state'] {
    if (isActive(record.state)) {
      const now = this.#parts.clock.now()
      if (now >= endOf(record)) this.apply(record, { type: 'observed', now })
    }
    return record.state
  }

  /** Wakes the record at `renewAt`, or when it ends if that comes first; the latter never early. */
  schedule(record: LeaseRecord, renewAt: number): void {
    const { scheduler } = this.#parts
    scheduler.schedule(record.alarm, Math.min(renewAt, endOf(record) + scheduler.tick))
  }

  /** Something happened to a lease: decides what follows from it, does it, and says what was decided. */
  apply(record: LeaseRecord, input: LeaseInput): Transition {
    const before = record.state
    const next = transition(before, record, input)
    if (next.to !== before) {
      record.state = next.to
      if (next.to === 'jeopardy') this.#jeopardy += 1
      else if (before === 'jeopardy') this.#jeopardy -= 1
      if (isActive(before) && !isActive(next.to)) this.#vacate(record)
    }
    if (next.extends && input.type === 'confirmed') this.#extend(record, input.sentAt)
    switch (next.notice) {
      case undefined:
        break
      case 'renewed':
      case 'safe':
        this.#tell(next.notice, record, (lease) => ({ lease }))
        break
      case 'jeopardy':
        if (input.type === 'unanswered') this.#tellJeopardy(record, input.error)
        break
      case 'released':
        this.#parts.tally.released += 1
        this.#tell('released', record, (lease) => ({ lease, confirmed: input.type === 'deleted' }))
        break
      case 'lost':
        this.#lose(record, next.reason as LossReason)
        break
      default:
        next.notice satisfies never
    }
    return next
  }

  #extend(record: LeaseRecord, sentAt: number): void {
    record.deadline = Math.max(record.deadline, deadlineOf(sentAt, record.ttl, this.#parts.driftFactor))
    record.failures = 0
    record.failure = undefined
    const { waiters } = record
    if (waiters === undefined) return
    record.waiters = undefined
    for (const waiter of waiters) waiter.resolve()
  }

  #vacate(record: LeaseRecord): void {
    this.#parts.scheduler.remove(record.alarm)
    this.#records.delete(record.key)
    if (record.state === 'releasing') rejectWaiters(record)
    this.#parts.onVacated(record.key)
  }

  #lose(record: LeaseRecord, reason: LossReason): void {
    const error = new LeaseLostError(record.key, reason, record.failure && { cause: record.failure })
    record.failure = error
    this.#parts.tally.lost[reason] += 1
    record.controller?.abort(error)
    rejectWaiters(record)
    if (reason === 'expired' || reason === 'maxHold') this.#parts.onAbandoned(record)
    this.#tell('lost', record, (lease) => ({ lease, reason, error }))
  }

  #tellJeopardy(record: LeaseRecord, error: Error): void {
    const remaining = record.deadline - this.#parts.clock.now()
    this.#tell('jeopardy', record, (lease) => ({ lease, error, remaining }))
  }

  /** Builds a payload only where somebody listens. */
  #tell<E extends keyof LeaseEvents>(
    event: E,
    record: LeaseRecord,
    payload: (lease: Lease) => LeaseEvents[E][0],
  ): void {
    const { subscribers } = this.#parts
    if (subscribers.listenerCount(event) > 0) subscribers.emit(event, payload(record.handle as Lease))
  }
}

/** When a lease ends if nothing else happens. */
export function endOf(record: LeaseRecord): number {
  return record.retireAt === undefined ? record.deadline : Math.min(record.deadline, record.retireAt)
}

function rejectWaiters(record: LeaseRecord): void {
  const { waiters } = record
  if (waiters === undefined) return
  record.waiters = undefined
  const error = notHeld(record)
  for (const waiter of waiters) waiter.reject(error)
}

/** Says that the lease is not held, and by what loss if it was lost. */
export function notHeld(record: LeaseRecord): LockNotHeldError {
  const cause = record.state === 'lost' ? record.failure : undefined
  return new LockNotHeldError(record.key, record.state, cause && { cause })
}
