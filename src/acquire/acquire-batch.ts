/** A batch of keys in one request, which reserves them while it is under way. The batch is built, sent and settled as a whole. */
import type { AcquireOutcome, Routing, Unknown } from '../backend.ts'
import { isFinal } from '../errors.ts'
import type { Lease } from '../lease/lease.ts'
import { LeaseRecord } from '../lease/lease-record.ts'
import { notHeld } from '../lease/record-facts.ts'
import type { AcquireManySettings } from '../options/settings.ts'
import type { Dispatch } from '../requests/dispatch.ts'
import type { Batch } from '../requests/batch.ts'
import { type Doubt, doubtAfter, doubtLeft } from '../rules/doubt.ts'
import type { AcquisitionParts } from './acquisition-parts.ts'
import { unavailable, TOO_LATE } from './failures.ts'
import type { Grant } from './granting.ts'

export interface BulkParts extends AcquisitionParts {
  /** None if there is one server. */
  readonly routing: Routing | undefined
  readonly batchSize: number
  /** Whether renewals have waited for long to be sent to the server of this key. */
  readonly isPressed: (key: string) => boolean
  readonly dispatch: Pick<Dispatch, 'acquire' | 'acquireNext' | 'acquireTogether'>
  readonly onFault: (fault: unknown) => void
}

export interface BulkSettings extends AcquireManySettings {
  /** If a listener of `acquired` ends a lease, the call fails. Without this, only that key has no lease. */
  readonly allOrNone: boolean
}

export class AcquireBatch implements Batch<AcquireOutcome> {
  readonly timeout: number
  /** Resolves once the batch is answered, given up or cancelled. */
  readonly settled: Promise<void>
  /** By position in the batch: a lease, or null. */
  readonly granted: (Lease | null)[] = []
  /** Positions of leases that a listener of `acquired` has ended. */
  readonly ended: Set<number> = new Set()
  /** By position in the batch: the index of the key in the call. */
  readonly indices: number[] = []
  failure: Error | undefined
  readonly #parts: BulkParts
  readonly #settings: BulkSettings
  readonly #records: LeaseRecord[] = []
  /** See `Reservations.changedSince`. */
  readonly #mark: number
  #resolve: (() => void) | undefined
  /** True while the answers are settled: a listener of `acquired` may then try to cancel. */
  #settling = false
  /** The last grant: all keys of a request usually share it. */
  #grant: Grant | undefined
  /** The answer came after the leases would have ended. */
  #late = false
  /** When the call began, in ms on the clock. */
  readonly #startedAt: number
  #held = 0

  constructor(parts: BulkParts, settings: BulkSettings, startedAt: number) {
    this.#startedAt = startedAt
    this.#parts = parts
    this.#settings = settings
    this.timeout = settings.timeout
    this.#mark = parts.table.reservations.mark
    this.settled = new Promise((resolve) => {
      this.#resolve = resolve
    })
  }

  get first(): LeaseRecord | undefined {
    return this.#records[0]
  }

  get size(): number {
    return this.#records.length
  }

  /** @returns whether the key is free: only then it joins the batch. */
  add(key: string, index: number): boolean {
    const { table, createToken } = this.#parts
    const record = new LeaseRecord(key, createToken(), this.#settings)
    if (!table.reservations.add(record)) return false
    this.#records.push(record)
    this.indices.push(index)
    return true
  }

  take(): readonly LeaseRecord[] {
    if (this.#resolve === undefined) return []
    this.#parts.tally.asks += this.#records.length
    return this.#records
  }

  takeAgain(): readonly LeaseRecord[] {
    return this.#resolve ? this.#records : []
  }

  settle(
    index: number,
    outcome: AcquireOutcome,
    sentAt: number = Number.NEGATIVE_INFINITY,
    unansweredAt?: number,
  ): void {
    const { granting, releaser } = this.#parts
    const record = this.#records[index] as LeaseRecord
    const { ttl } = this.#settings
    if (!this.#settling) {
      this.#settling = true
      this.#late = granting.isLate(sentAt, ttl)
    }
    this.granted[index] = null
    const before = unansweredAt === undefined ? undefined : doubtAfter(undefined, unansweredAt, ttl)
    if (outcome.type === 'granted' && !this.#late && this.#resolve) {
      this.#take(index, outcome.fence, sentAt, before)
      return
    }
    if (outcome.type !== 'refused') this.#fail(record, outcome.type === 'unknown' ? outcome.error : TOO_LATE)
    const doubt = doubtLeft(before, outcome, sentAt === Number.NEGATIVE_INFINITY ? undefined : sentAt, ttl)
    if (doubt) releaser.undo(record, doubt)
  }

  #take(index: number, fence: number, sentAt: number, doubt: Doubt | undefined): void {
    const { granting, table } = this.#parts
    const record = this.#records[index] as LeaseRecord
    const stale = table.reservations.changedSince(record, this.#mark)
    if (this.#grant?.fence !== fence || this.#grant.sentAt !== sentAt)
      this.#grant = { fence, sentAt, settings: this.#settings }
    const granted = granting.make(record, this.#grant, stale, doubt)
    switch (granted) {
      case 'held':
        this.granted[index] = record.handle as Lease
        this.#held += 1
        break
      case 'lost':
        this.#fail(record, TOO_LATE)
        break
      case 'ended':
        this.ended.add(index)
        if (this.#settings.allOrNone) this.failure ??= notHeld(record)
        break
      default:
        granted satisfies never
    }
  }

  /** A fault after the lease was made changes nothing. */
  settleFaulty(index: number, outcome: Unknown, sentAt: number | undefined, unansweredAt: number | undefined): void {
    if (!this.granted[index]) this.settle(index, outcome, sentAt, unansweredAt)
  }

  finish(): void {
    this.#settling = false
    if (this.#resolve) this.#finish()
  }

  /** `settle` gives back what the batch acquires, or may acquire. */
  cancel(): void {
    if (this.#resolve && !this.#settling) this.#finish()
  }

  #finish(): void {
    this.#resolve?.()
    this.#resolve = undefined
    const { clock, table, tally, lines } = this.#parts
    if (this.#held > 0) {
      const now = clock.now()
      tally.measure('wait', now - this.#startedAt, now, this.#held)
    }
    for (const record of this.#records) {
      table.reservations.remove(record)
      lines.onAskedFor(record.key)
    }
  }

  /** If the call waits and the failure is not final, the call asks for the key once more, with another token. */
  #fail({ key }: LeaseRecord, cause: Error): void {
    if (this.#settings.wait > 0 && !isFinal(cause)) return
    this.failure ??= unavailable(key, cause)
  }
}
