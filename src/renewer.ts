/**
 * Renewals: collects what is due, sends it in batches with the nearest deadline first, applies the answers, and repeats
 * what failed. May import the port, the table, timing and errors.
 */
import type { Backend, ChangeOutcome } from './backend.ts'
import type { Clock } from './clock.ts'
import { DeadlineQueue } from './core/deadline-queue.ts'
import { isActive } from './core/lease-state.ts'
import { firstRenewalDue, renewalDue, renewalRetryDelay } from './core/timing.ts'
import { UnavailableError } from './errors.ts'
import type { LeaseRecord } from './lease-record.ts'
import { type LeaseTable, notHeld } from './lease-table.ts'
import { asError } from './as-error.ts'
import type { Scheduler, Tick } from './scheduler.ts'
import type { Tally } from './stats.ts'

/** Batches on their way at once: enough to keep a server busy, few enough that the nearest deadline is never far back in line. */
const BATCHES_IN_FLIGHT = 16

export interface RenewerParts {
  readonly backend: Backend
  readonly clock: Clock
  readonly scheduler: Scheduler<LeaseRecord>
  readonly table: LeaseTable
  readonly tally: Tally
  readonly batchSize: number
  readonly random: () => number
}

interface Flight {
  /** When this batch does not count as on its way any more: a hung server must not keep others from being asked. */
  readonly until: number
}

export class Renewer {
  readonly #parts: RenewerParts
  readonly #queue: DeadlineQueue<LeaseRecord>
  readonly #flights = new Set<Flight>()
  #pumping = false

  constructor(parts: RenewerParts) {
    this.#parts = parts
    this.#queue = new DeadlineQueue(parts.scheduler.tick)
  }

  /** Sets the first renewal of a lease granted by a request sent at `sentAt`. */
  begin(record: LeaseRecord, sentAt: number): void {
    if (record.autoRenew) record.renewAt = firstRenewalDue(sentAt, record.ttl, this.#parts.random())
  }

  /** A lease's time has come: it is over, its renewal is due, or the answer to one is overdue. */
  onDue(record: LeaseRecord, tick: Tick): void {
    const { table, scheduler } = this.#parts
    if (!isActive(table.observe(record))) return
    if (tick.now + scheduler.tick < record.renewAt) {
      table.reschedule(record)
      return
    }
    if (record.renewal === 'asked') {
      this.#overdue(record, tick)
    } else {
      this.#parts.tally.renewalLag.record(tick.now - record.renewAt)
      this.#enqueue(record)
    }
    table.reschedule(record)
  }

  /** Renews now on behalf of the lease's owner. */
  renew(record: LeaseRecord): Promise<void> {
    if (!isActive(this.#parts.table.observe(record))) return Promise.reject(notHeld(record))
    const answer = new Promise<void>((resolve, reject) => {
      record.waiters ??= []
      record.waiters.push({ resolve, reject })
    })
    if (record.renewal === 'idle') {
      this.#enqueue(record)
      this.#parts.table.reschedule(record)
      this.#pumpSoon()
    }
    return answer
  }

  /** The backend can be asked again: whoever is in jeopardy does not wait for its backoff. */
  onRecovered(): void {
    for (const record of this.#parts.table.values()) {
      if (record.failures > 0 && record.autoRenew && record.renewal === 'idle') {
        this.#enqueue(record)
        this.#parts.table.reschedule(record)
      }
    }
    this.#pumpSoon()
  }

  /** Sends what is queued, as far as the number of batches in flight permits. */
  pump(): void {
    const { clock, batchSize } = this.#parts
    while (this.#queue.size > 0 && this.#hasRoom(clock.now())) {
      const batch = this.#queue.take(batchSize, isWaitingToBeSent)
      if (batch.length > 0) void this.#send(batch)
    }
  }

  #enqueue(record: LeaseRecord): void {
    record.renewal = 'queued'
    // While it is queued and while it is asked, only its end can wake it, until `#send` sets the time to give up.
    record.renewAt = Number.POSITIVE_INFINITY
    this.#queue.add(record)
  }

  #pumpSoon(): void {
    if (this.#pumping) return
    this.#pumping = true
    this.#parts.clock.soon(() => {
      this.#pumping = false
      this.pump()
    })
  }

  #hasRoom(now: number): boolean {
    if (this.#flights.size < BATCHES_IN_FLIGHT) return true
    for (const flight of this.#flights) if (flight.until <= now) this.#flights.delete(flight)
    return this.#flights.size < BATCHES_IN_FLIGHT
  }

  async #send(batch: readonly LeaseRecord[]): Promise<void> {
    const { backend, clock, table, tally } = this.#parts
    // Taken before a byte is written: every deadline that this batch may set counts from here.
    const sentAt = clock.now()
    let until = sentAt
    for (const record of batch) {
      record.renewal = 'asked'
      record.askedAt = sentAt
      record.renewAt = sentAt + record.timeout
      until = Math.max(until, record.renewAt)
      table.reschedule(record)
    }
    const flight = { until }
    this.#flights.add(flight)
    tally.requests += 1
    try {
      const outcomes = await backend.renew(batch)
      tally.roundTrip.record(clock.now() - sentAt)
      for (const [index, record] of batch.entries()) this.#settle(record, sentAt, outcomes[index])
    } catch (thrown) {
      const outcome = { type: 'unknown', error: asError(thrown) } as const
      for (const record of batch) this.#settle(record, sentAt, outcome)
    }
    this.#flights.delete(flight)
    this.pump()
  }

  #settle(record: LeaseRecord, sentAt: number, outcome: ChangeOutcome | undefined): void {
    // A listener may have taken its time, or ended this very lease: each answer meets the clock and the state as they are now.
    const now = this.#parts.clock.now()
    switch (outcome?.type) {
      case 'done':
        this.#confirm(record, sentAt, now)
        break
      case 'refused':
        this.#parts.table.apply(record, { type: 'refused', now, reason: outcome.reason })
        break
      case 'unknown':
        if (this.#isAwaited(record, sentAt)) this.#fail(record, now, outcome.error)
        break
      case undefined:
        if (this.#isAwaited(record, sentAt)) {
          this.#fail(record, now, new UnavailableError('The backend gave no outcome for a renewal', record.key))
        }
        break
      default:
        outcome satisfies never
    }
  }

  /** Whether this is the request whose answer the lease waits for, not an earlier one that was given up. */
  #isAwaited(record: LeaseRecord, sentAt: number): boolean {
    return record.renewal === 'asked' && record.askedAt === sentAt
  }

  /** Even a late confirmation is one: the key was extended some time after `sentAt`, and the deadline counts from there. */
  #confirm(record: LeaseRecord, sentAt: number, now: number): void {
    const { table, tally } = this.#parts
    if (!isActive(record.state)) return
    if (record.renewal === 'idle' || this.#isAwaited(record, sentAt)) {
      record.renewal = 'idle'
      record.renewAt = record.autoRenew ? renewalDue(sentAt, record.ttl) : Number.POSITIVE_INFINITY
    }
    if (table.apply(record, { type: 'confirmed', now, sentAt }).extends) tally.renewals += 1
    if (isActive(record.state)) table.reschedule(record)
  }

  #overdue(record: LeaseRecord, { now, late }: Tick): void {
    // The answer may have come while the event loop was blocked: let it be read first.
    if (late) record.renewAt = now + this.#parts.scheduler.tick
    else
      this.#fail(
        record,
        now,
        new UnavailableError(`A renewal was not answered within ${record.timeout} ms`, record.key),
      )
  }

  #fail(record: LeaseRecord, now: number, error: Error): void {
    const { table, tally, random } = this.#parts
    tally.failures += 1
    record.renewal = 'idle'
    record.failures += 1
    record.failure = error
    record.renewAt = record.autoRenew
      ? now + renewalRetryDelay(record.ttl, record.failures, record.deadline - now, random())
      : Number.POSITIVE_INFINITY
    const { waiters } = record
    record.waiters = undefined
    table.apply(record, { type: 'unanswered', now, error })
    if (isActive(record.state)) table.reschedule(record)
    if (waiters === undefined) return
    const reason = isActive(record.state) ? unavailable(record.key, error) : notHeld(record)
    for (const waiter of waiters) waiter.reject(reason)
  }
}

function isWaitingToBeSent(record: LeaseRecord): boolean {
  return record.renewal === 'queued' && isActive(record.state)
}

function unavailable(key: string, cause: Error): UnavailableError {
  return new UnavailableError(`Lock \`${key}\` could not be renewed: ${cause.message}`, key, { cause })
}
