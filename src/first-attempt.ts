/**
 * The first attempt of a caller whose key nobody here holds, wants or asks for. Most locks are free, and most attempts are the only one: it
 * stands in no line and knows no pauses; its key is reserved instead. What it does not bring is left to an acquisition, which goes on in
 * front of those who have come meanwhile. May import acquisitions, the table, records, the outbox, timing and errors.
 */
import type { Cancellable } from './abort-watch.ts'
import { Acquisition, type AcquisitionParts, REFUSED, TOO_LATE } from './acquisition.ts'
import type { AcquireOutcome, Granted, Refusal, Unknown } from './backend.ts'
import { deadlineOf } from './core/timing.ts'
import type { Lease } from './lease.ts'
import { LeaseRecord } from './lease-record.ts'
import type { AcquireSettings } from './options.ts'
import type { Request } from './outbox.ts'

export class FirstAttempts {
  readonly #parts: AcquisitionParts
  readonly #underWay = new Set<FirstAttempt>()

  constructor(parts: AcquisitionParts) {
    this.#parts = parts
  }

  /** See `LeaseManager.acquire`. */
  acquire(key: string, settings: AcquireSettings): Promise<Lease> {
    return this.#begin(key, settings, false) as Promise<Lease>
  }

  /** See `LeaseManager.tryAcquire`. */
  tryAcquire(key: string, settings: AcquireSettings): Promise<Lease | null> {
    return this.#begin(key, settings, true)
  }

  cancelAll(reasonFor: (key: string) => unknown): void {
    for (const attempt of this.#underWay) attempt.cancel(reasonFor(attempt.key))
  }

  /** @param orNull where the lock is refused in the end there is no lease, instead of an error. */
  #begin(key: string, settings: AcquireSettings, orNull: boolean): Promise<Lease | null> {
    const { table, lines, createToken } = this.#parts
    const { wait, timeout } = settings
    // Whose patience is shorter than a request's does not wait for the answer.
    if ((wait === 0 || wait >= timeout) && lines.get(key) === undefined) {
      const record = new LeaseRecord(key, createToken(), settings)
      if (table.reserve(record)) return new FirstAttempt(this.#parts, record, settings, orNull).run(this.#underWay)
    }
    const acquisition = new Acquisition(this.#parts, key, settings)
    return resultOf(acquisition.run(), acquisition, orNull)
  }
}

class FirstAttempt implements Request<AcquireOutcome>, Cancellable {
  readonly #parts: AcquisitionParts
  readonly #record: LeaseRecord
  readonly #settings: AcquireSettings
  readonly #orNull: boolean
  readonly #startedAt: number
  /** See `LeaseTable.isStale`. */
  readonly #upheavals: number
  #underWay: Set<FirstAttempt> | undefined
  /** Takes the result, once. */
  #resolve: ((result: Lease | null | Promise<Lease | null>) => void) | undefined
  #reject: ((error: unknown) => void) | undefined
  /** Its lease is being announced. */
  #granting = false

  constructor(parts: AcquisitionParts, record: LeaseRecord, settings: AcquireSettings, orNull: boolean) {
    this.#parts = parts
    this.#record = record
    this.#settings = settings
    this.#orNull = orNull
    this.#startedAt = parts.clock.now()
    this.#upheavals = parts.table.upheavals
  }

  get key(): string {
    return this.#record.key
  }

  get token(): string {
    return this.#record.token
  }

  /** ms. */
  get ttl(): number {
    return this.#settings.ttl
  }

  /** ms. */
  get timeout(): number {
    return this.#settings.timeout
  }

  get wanted(): boolean {
    return this.#resolve !== undefined
  }

  /** @param underWay where it stands until it is over. */
  run(underWay: Set<FirstAttempt>): Promise<Lease | null> {
    const { aborts, post, tally } = this.#parts
    const { signal } = this.#settings
    underWay.add(this)
    this.#underWay = underWay
    return new Promise((resolve, reject) => {
      this.#resolve = resolve
      this.#reject = reject
      if (signal) aborts.add(signal, this)
      if (!this.wanted) return
      tally.asks += 1
      post(this)
    })
  }

  cancel(reason: unknown): void {
    // A listener that hears of its lease comes too late.
    if (!this.#granting) this.#fail(reason)
  }

  settle(outcome: AcquireOutcome, sentAt: number | undefined): void {
    if (!this.wanted) {
      // The caller is gone; what its question brings, or may have brought, is given back.
      if (outcome.type !== 'refused' && sentAt !== undefined)
        this.#parts.releaser.undo(this, sentAt, outcome.type === 'unknown')
      return
    }
    const stale = this.#parts.table.isStale(this.#record, this.#upheavals)
    if (outcome.type === 'granted') {
      this.#settleGranted(outcome, sentAt, stale)
    } else if (outcome.type === 'refused' && this.#orNull && this.#settings.wait === 0) {
      this.#succeed(null, outcome)
    } else {
      // Who was not answered asks with the same token again, and is recognised.
      this.#goOn(outcome, sentAt, stale, this.token)
    }
  }

  #settleGranted(outcome: Granted, sentAt: number | undefined, stale: boolean): void {
    const lease = this.#take(outcome.fence, stale, sentAt)
    if (typeof lease === 'object') {
      this.#succeed(lease, outcome)
      return
    }
    // Whoever shares it hears that it was granted, and what follows is another acquisition.
    this.#parts.lines.get(this.key)?.onAnswer(outcome)
    this.#goOn({ type: 'unknown', error: TOO_LATE }, undefined, stale || lease === 'ended')
  }

  /** The key is ours, unless that is over by now, when it is given back; or by the time everybody has heard of it. */
  #take(fence: number, stale: boolean, sentAt = Number.NEGATIVE_INFINITY): Lease | 'late' | 'ended' {
    const { clock, driftFactor, verifier, releaser, grant } = this.#parts
    const record = this.#record
    if (clock.now() >= deadlineOf(sentAt, this.ttl, driftFactor)) {
      releaser.undo(record, sentAt, false)
      return 'late'
    }
    this.#granting = true
    const held = grant(record, fence, this.#settings, sentAt)
    this.#granting = false
    if (!held) return 'ended'
    if (stale) verifier.verify(record)
    return record.handle as Lease
  }

  /** The caller goes on in line, in front of those who have come meanwhile: they go on waiting. */
  #goOn(outcome: Refusal | Unknown, sentAt: number | undefined, stale: boolean, token?: string): void {
    const resolve = this.#resolve
    this.#leave()
    const acquisition = new Acquisition(this.#parts, this.key, this.#settings, { token, startedAt: this.#startedAt })
    resolve?.(resultOf(acquisition.goOn(outcome, sentAt, stale), acquisition, this.#orNull))
  }

  #succeed(result: Lease | null, outcome: AcquireOutcome): void {
    const resolve = this.#resolve
    this.#leave()
    this.#parts.lines.onAskedFor(this.key, outcome)
    resolve?.(result)
  }

  #fail(error: unknown): void {
    if (!this.wanted) return
    this.#leave()
    this.#parts.lines.onAskedFor(this.key)
    this.#reject?.(error)
  }

  #leave(): void {
    const { signal } = this.#settings
    this.#resolve = undefined
    this.#underWay?.delete(this)
    if (signal) this.#parts.aborts.remove(signal, this)
    this.#parts.table.free(this.#record)
  }
}

/** @param orNull see `FirstAttempts`. */
function resultOf(record: Promise<LeaseRecord>, acquisition: Acquisition, orNull: boolean): Promise<Lease | null> {
  return record.then(handleOf, (error: unknown) => {
    if (orNull && error === REFUSED) return null
    throw acquisition.explain(error)
  })
}

function handleOf(record: LeaseRecord): Lease {
  return record.handle as Lease
}
