/**
 * Renewals: collects what is due, sends it in batches with the nearest deadline first, applies the answers, and repeats
 * what failed. May import the port, the table, timing and errors.
 */
import { asError } from './as-error.ts'
import type { Backend, ChangeOutcome } from './backend.ts'
import type { Clock } from './clock.ts'
import { DeadlineQueue } from './core/deadline-queue.ts'
import { isActive } from './core/lease-state.ts'
import { firstRenewalDue, renewalDue, renewalRetryDelay } from './core/timing.ts'
import { UnavailableError } from './errors.ts'
import { Flight } from './flight.ts'
import type { LeaseRecord } from './lease-record.ts'
import { endOf, type LeaseTable, notHeld } from './lease-table.ts'
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

export class Renewer {
  readonly #parts: RenewerParts
  readonly #queue: DeadlineQueue<LeaseRecord>
  /** What has been queued since the last `pump`: not in the wheel while it is hoped to be sent at once. */
  #fresh: LeaseRecord[] = []
  #flights = 0
  #pumping = false

  constructor(parts: RenewerParts) {
    this.#parts = parts
    this.#queue = new DeadlineQueue(parts.scheduler.tick)
  }

  /** When a lease granted by a request sent at `sentAt` is renewed for the first time; Infinity: never. */
  firstRenewal(record: LeaseRecord, sentAt: number): number {
    return record.autoRenew ? firstRenewalDue(sentAt, record.ttl, this.#parts.random()) : NEVER
  }

  /** A lease's time has come: its renewal is due, or it is over. */
  onDue(record: LeaseRecord, { now }: Tick): void {
    const { table, scheduler, tally } = this.#parts
    // Nothing wakes a lease in the middle of its life but its renewal.
    if (!isActive(table.observe(record))) return
    tally.renewalLag.record(now - scheduler.dueOf(record.alarm))
    this.#enqueue(record)
  }

  /** Renews now on behalf of the lease's owner. */
  renew(record: LeaseRecord): Promise<void> {
    if (!isActive(this.#parts.table.observe(record))) return Promise.reject(notHeld(record))
    const answer = new Promise<void>((resolve, reject) => {
      record.waiters ??= []
      record.waiters.push({ resolve, reject })
    })
    if (record.renewal === undefined) {
      this.#enqueue(record)
      this.#pumpSoon()
    }
    return answer
  }

  /** The backend can be asked again: whoever is in jeopardy does not wait for its backoff. */
  onRecovered(): void {
    for (const record of this.#parts.table.values()) {
      if (record.failures > 0 && record.autoRenew && record.renewal === undefined) this.#enqueue(record)
    }
    this.#pumpSoon()
  }

  /** Sends what is queued, as far as the number of batches in flight permits. */
  pump(): void {
    const { batchSize, table } = this.#parts
    while (this.#queue.size > 0 && this.#flights < BATCHES_IN_FLIGHT) {
      const batch = this.#queue.take(batchSize, isWaitingToBeSent)
      if (batch.length > 0) void this.#send(batch)
    }
    // What has to wait its turn is watched over until then.
    for (const record of this.#fresh) if (isWaitingToBeSent(record)) table.schedule(record, NEVER)
    this.#fresh = []
  }

  #enqueue(record: LeaseRecord): void {
    record.renewal = 'queued'
    this.#queue.add(record)
    this.#fresh.push(record)
  }

  #pumpSoon(): void {
    if (this.#pumping) return
    this.#pumping = true
    this.#parts.clock.soon(() => {
      this.#pumping = false
      this.pump()
    })
  }

  async #send(batch: readonly LeaseRecord[]): Promise<void> {
    const { backend, clock, scheduler, tally } = this.#parts
    // Taken before a byte is written: every deadline that this batch may set counts from here.
    const flight = new Flight(clock.now(), batch)
    for (const record of batch) {
      record.renewal = flight
      scheduler.cancel(record.alarm)
    }
    this.#flights += 1
    this.#watch(flight, flight.sentAt)
    tally.requests += 1
    let outcomes: readonly (ChangeOutcome | undefined)[]
    try {
      outcomes = await backend.renew(batch)
      tally.roundTrip.record(clock.now() - flight.sentAt)
    } catch (thrown) {
      const outcome = { type: 'unknown', error: asError(thrown) } as const
      outcomes = batch.map(() => outcome)
    }
    for (let index = 0; index < batch.length; index += 1) {
      this.#settle(batch[index] as LeaseRecord, flight, outcomes[index])
    }
    this.#land(flight)
    this.pump()
  }

  /** Wakes up for whatever comes first to a lease of the batch: its request has taken too long, or it is over. */
  #watch(flight: Flight, now: number): void {
    let next = Number.POSITIVE_INFINITY
    for (const record of flight.records) {
      if (record.renewal !== flight || !isActive(record.state)) continue
      next = Math.min(next, flight.sentAt + record.timeout, endOf(record))
    }
    if (next === Number.POSITIVE_INFINITY) this.#land(flight)
    else flight.alarm = this.#parts.scheduler.after(Math.max(next - now, 0), (tick) => this.#onOverdue(flight, tick))
  }

  #onOverdue(flight: Flight, { now, late }: Tick): void {
    for (const record of flight.records) {
      if (record.renewal !== flight || !isActive(this.#parts.table.observe(record))) continue
      // The answer may have come while the event loop was blocked: let it be read first.
      if (late || now < flight.sentAt + record.timeout) continue
      const error = new UnavailableError(`A renewal was not answered within ${record.timeout} ms`, record.key)
      this.#fail(record, now, error)
    }
    this.#watch(flight, now)
  }

  /** The batch does not count as on its way any more: answered, or given up, so that a hung server keeps nobody from being asked. */
  #land(flight: Flight): void {
    flight.alarm?.cancel()
    if (flight.landed) return
    flight.landed = true
    this.#flights -= 1
  }

  #settle(record: LeaseRecord, flight: Flight, outcome: ChangeOutcome | undefined): void {
    // Where a lease stopped waiting for this answer, only what it proves still counts.
    const awaited = record.renewal === flight
    switch (outcome?.type) {
      case 'done':
        this.#confirm(record, flight.sentAt, awaited)
        break
      case 'refused':
        this.#parts.table.apply(record, { type: 'refused', now: this.#parts.clock.now(), reason: outcome.reason })
        break
      case 'unknown':
        if (awaited) this.#fail(record, this.#parts.clock.now(), outcome.error)
        break
      case undefined:
        if (awaited) this.#fail(record, this.#parts.clock.now(), NO_OUTCOME)
        break
      default:
        outcome satisfies never
    }
  }

  /** Even a late confirmation is one: the key was extended some time after `sentAt`, and the deadline counts from there. */
  #confirm(record: LeaseRecord, sentAt: number, awaited: boolean): void {
    const { table, tally, clock } = this.#parts
    if (!isActive(record.state)) return
    if (awaited) record.renewal = undefined
    // A listener may have taken its time: each answer meets the clock as it is now.
    if (table.apply(record, { type: 'confirmed', now: clock.now(), sentAt }).extends) tally.renewals += 1
    this.#scheduleIfIdle(record, record.autoRenew ? renewalDue(sentAt, record.ttl) : NEVER)
  }

  /** A renewal that is queued or under way wakes its lease itself; a listener may just have asked for one. */
  #scheduleIfIdle(record: LeaseRecord, renewAt: number): void {
    if (isActive(record.state) && record.renewal === undefined) this.#parts.table.schedule(record, renewAt)
  }

  #fail(record: LeaseRecord, now: number, error: Error): void {
    const { table, tally, random } = this.#parts
    tally.failures += 1
    record.renewal = undefined
    if (!isActive(record.state)) return
    record.failures += 1
    record.failure = error
    const { waiters } = record
    record.waiters = undefined
    table.apply(record, { type: 'unanswered', now, error })
    const delay = renewalRetryDelay(record.ttl, record.failures, record.deadline - now, random())
    this.#scheduleIfIdle(record, record.autoRenew ? now + delay : NEVER)
    if (waiters === undefined) return
    const reason = isActive(record.state) ? unavailable(record.key, error) : notHeld(record)
    for (const waiter of waiters) waiter.reject(reason)
  }
}

const NEVER = Number.POSITIVE_INFINITY
const NO_OUTCOME = new UnavailableError('The backend gave no outcome for a renewal')

function isWaitingToBeSent(record: LeaseRecord): boolean {
  return record.renewal === 'queued' && isActive(record.state)
}

function unavailable(key: string, cause: Error): UnavailableError {
  return new UnavailableError(`Lock \`${key}\` could not be renewed: ${cause.message}`, key, { cause })
}
