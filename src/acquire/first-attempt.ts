/**
 * The first attempt for a key that no caller here holds, wants or asks for. Most locks are free, and most attempts are the
 * only one, so it skips the line and reserves the key instead. If it fails, an acquisition goes on in front of the callers
 * that came meanwhile.
 */
import type { Cancellable } from './abort-watch.ts'
import type { GrantResult } from './granting.ts'
import { Acquisition } from './acquisition.ts'
import type { AcquisitionParts } from './acquisition-parts.ts'
import { checkJoint, REFUSED, TOO_LATE } from './failures.ts'
import type { AcquireOutcome, Granted, Refusal, Unknown } from '../backend.ts'
import { type Doubt, doubtAfter, doubtLeft } from '../rules/doubt.ts'
import type { Lease } from '../lease/lease.ts'
import { LeaseRecord } from '../lease/lease-record.ts'
import { notHeld } from '../lease/record-facts.ts'
import type { AcquireSettings } from '../options/settings.ts'
import type { Joint } from '../rules/sharing.ts'
import type { Request } from '../requests/batch.ts'
import { isAcquireTraced } from '../tracing/channels.ts'

export class FirstAttempts {
  readonly #parts: AcquisitionParts
  readonly #underWay = new Set<FirstAttempt>()

  constructor(parts: AcquisitionParts) {
    this.#parts = parts
  }

  /** See `LeaseManager.acquire`. */
  acquire(key: string, settings: AcquireSettings): Promise<Lease> {
    return this.#traced('acquire', key, settings, false) as Promise<Lease>
  }

  /** See `LeaseManager.tryAcquire`. */
  tryAcquire(key: string, settings: AcquireSettings): Promise<Lease | null> {
    return this.#traced('tryAcquire', key, settings, true)
  }

  #traced(
    method: 'acquire' | 'tryAcquire',
    key: string,
    settings: AcquireSettings,
    orNull: boolean,
  ): Promise<Lease | null> {
    checkJoint(this.#parts.backend, settings.joint)
    // Most of the time nobody subscribes: then there is no closure and no promise for it.
    if (settings.part || !isAcquireTraced()) return this.#begin(key, settings, orNull)
    return this.#parts.calls.one(method, key, settings, () => this.#begin(key, settings, orNull))
  }

  cancelAll(reasonFor: (key: string) => unknown): void {
    for (const attempt of this.#underWay) attempt.cancel(reasonFor(attempt.key))
  }

  /** @param orNull a final refusal resolves to `null` instead of throwing an error. */
  #begin(key: string, settings: AcquireSettings, orNull: boolean): Promise<Lease | null> {
    const { clock, table, lines, createToken } = this.#parts
    const { wait, timeout } = settings
    // A caller with less patience than the timeout does not wait for the answer: only an acquisition can do that.
    if ((wait === 0 || wait >= timeout) && lines.get(key) === undefined) {
      const record = new LeaseRecord(key, createToken(), settings)
      if (table.reservations.add(record))
        return new FirstAttempt(this.#parts, record, settings, orNull).run(this.#underWay)
    }
    const acquisition = new Acquisition(this.#parts, key, settings)
    const startedAt = clock.now()
    return resultOf(this.#parts, { acquisition, record: acquisition.run(), settings, orNull, startedAt })
  }
}

class FirstAttempt implements Request<AcquireOutcome>, Cancellable {
  readonly #parts: AcquisitionParts
  readonly #record: LeaseRecord
  readonly #settings: AcquireSettings
  readonly #orNull: boolean
  readonly #startedAt: number
  /** See `Reservations.changedSince`. */
  readonly #mark: number
  #underWay: Set<FirstAttempt> | undefined
  /** Settles the caller's promise, once. */
  #resolve: ((result: Lease | null | Promise<Lease | null>) => void) | undefined
  #reject: ((error: unknown) => void) | undefined
  /** True while the lease is announced. */
  #granting = false

  constructor(parts: AcquisitionParts, record: LeaseRecord, settings: AcquireSettings, orNull: boolean) {
    this.#parts = parts
    this.#record = record
    this.#settings = settings
    this.#orNull = orNull
    this.#startedAt = parts.clock.now()
    this.#mark = parts.table.reservations.mark
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

  get joint(): Joint | undefined {
    return this.#settings.joint
  }

  /** ms. */
  get timeout(): number {
    return this.#settings.timeout
  }

  get wanted(): boolean {
    return this.#resolve !== undefined
  }

  /** @param underWay contains this attempt until it is over. */
  run(underWay: Set<FirstAttempt>): Promise<Lease | null> {
    const { aborts, dispatch, tally } = this.#parts
    const { signal } = this.#settings
    underWay.add(this)
    this.#underWay = underWay
    return new Promise((resolve, reject) => {
      this.#resolve = resolve
      this.#reject = reject
      if (signal) aborts.add(signal, this)
      if (!this.wanted) return
      tally.asks += 1
      dispatch.acquire(this)
    })
  }

  cancel(reason: unknown): void {
    // A listener of `acquired` cancels too late: the lease exists.
    if (!this.#granting) this.#fail(reason)
  }

  settle(outcome: AcquireOutcome, sentAt: number | undefined, unansweredAt?: number): void {
    const doubt = unansweredAt === undefined ? undefined : doubtAfter(undefined, unansweredAt, this.ttl)
    if (!this.wanted) {
      this.#giveBack(outcome, sentAt, doubt)
      return
    }
    const stale = this.#parts.table.reservations.changedSince(this.#record, this.#mark)
    if (outcome.type === 'granted') {
      this.#settleGranted(outcome, sentAt ?? Number.NEGATIVE_INFINITY, stale, doubt)
    } else if (outcome.type === 'refused' && this.#orNull && this.#settings.wait === 0) {
      this.#onFailed(REFUSED)
      this.#conclude(null, outcome)
      this.#giveBack(outcome, sentAt, doubt)
    } else {
      // After an unanswered request the acquisition keeps the token, so that the server recognises it.
      this.#goOn(outcome, sentAt, stale, this.token, doubt)
    }
  }

  /** The caller is gone: gives back what its question acquired, or may have acquired. */
  #giveBack(outcome: AcquireOutcome, sentAt: number | undefined, before: Doubt | undefined): void {
    const doubt = doubtLeft(before, outcome, sentAt, this.ttl)
    if (doubt) this.#parts.releaser.undo(this, doubt)
  }

  #settleGranted(outcome: Granted, sentAt: number, stale: boolean, doubt: Doubt | undefined): void {
    const { granting, lines, tally } = this.#parts
    const record = this.#record
    let granted: GrantResult
    this.#granting = true
    try {
      granted = granting.take(record, { fence: outcome.fence, sentAt, settings: this.#settings }, stale, doubt)
    } finally {
      this.#granting = false
    }
    switch (granted) {
      case 'held':
        tally.measure('wait', granting.grantedAt - this.#startedAt, granting.grantedAt)
        this.#conclude(record.handle as Lease, outcome)
        break
      case 'ended':
        this.#fail(notHeld(record), outcome)
        break
      case 'lost':
      case 'late':
        // Callers that share the attempt learn of the grant. What follows is another acquisition.
        lines.get(this.key)?.onAnswer(outcome)
        this.#goOn({ type: 'unknown', error: TOO_LATE }, undefined, stale || granted === 'lost')
        break
      default:
        granted satisfies never
    }
  }

  /** The caller goes on in line, in front of the callers that came meanwhile. */
  #goOn(outcome: Refusal | Unknown, sentAt: number | undefined, stale: boolean, token?: string, doubt?: Doubt): void {
    const first = { token, startedAt: this.#startedAt, doubt }
    const acquisition = new Acquisition(this.#parts, this.key, this.#settings, first)
    const resolve = this.#resolve
    this.#leave()
    const record = acquisition.goOn(outcome, sentAt, stale)
    const going = { acquisition, record, settings: this.#settings, orNull: this.#orNull, startedAt: this.#startedAt }
    resolve?.(resultOf(this.#parts, going))
  }

  #onFailed(error: unknown): void {
    this.#parts.calls.onFailed(error, this.#settings)
  }

  #conclude(result: Lease | null, outcome: AcquireOutcome): void {
    const resolve = this.#resolve
    this.#leave()
    resolve?.(result)
    this.#parts.lines.onAskedFor(this.key, outcome)
  }

  #fail(error: unknown, outcome?: AcquireOutcome): void {
    if (!this.wanted) return
    this.#leave()
    this.#onFailed(error)
    this.#reject?.(error)
    this.#parts.lines.onAskedFor(this.key, outcome)
  }

  #leave(): void {
    const { signal } = this.#settings
    this.#resolve = undefined
    this.#underWay?.delete(this)
    if (signal) this.#parts.aborts.remove(signal, this)
    this.#parts.table.reservations.remove(this.#record)
  }
}

interface Going {
  readonly acquisition: Acquisition
  readonly record: Promise<LeaseRecord>
  readonly settings: AcquireSettings
  /** See `FirstAttempts`. */
  readonly orNull: boolean
  /** When the call began, in ms on the clock. */
  readonly startedAt: number
}

function resultOf(parts: AcquisitionParts, going: Going): Promise<Lease | null> {
  const { acquisition, record, settings, orNull, startedAt } = going
  const { calls, clock, tally } = parts
  return record.then(
    ({ handle }) => {
      const now = clock.now()
      tally.measure('wait', now - startedAt, now)
      return handle as Lease
    },
    (error: unknown) => {
      calls.onFailed(error, settings)
      if (orNull && error === REFUSED) return null
      throw acquisition.explain(error)
    },
  )
}
