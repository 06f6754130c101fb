/**
 * Many keys at once, each on its own. A key that nobody here holds, wants or asks for is asked for without a turn, a promise or a
 * pause of its own: batches of such keys are put together, sent and settled as wholes. All others, and those that are to be waited for, become
 * acquisitions like any other. May import acquisitions, the outbox, the table, the lines, the releaser, timing and errors.
 */
import type { Cancellable } from './abort-watch.ts'
import { Acquisition, type AcquisitionParts, REFUSED, TOO_LATE } from './acquisition.ts'
import type { AcquireOutcome } from './backend.ts'
import { deadlineOf } from './core/timing.ts'
import { UnavailableError } from './errors.ts'
import type { Lease } from './lease.ts'
import { LeaseRecord } from './lease-record.ts'
import type { AcquireManySettings } from './options.ts'
import type { Parcel } from './outbox.ts'

/** Keys under way at once: bounds memory, and how long the event loop is kept by those that are answered together. */
const KEYS_UNDER_WAY = 8_192
/** Keys that are put together before the event loop has its next turn: some ms of work. */
const KEYS_BEGUN_AT_ONCE = 2_048
/** Keys that are waited for at once. */
const LONGEST_QUEUE = 10_000

export interface BulkParts extends AcquisitionParts {
  readonly batchSize: number
  /** Sends a batch, after whatever has been collected of what gives keys back. */
  readonly postParcel: (parcel: Parcel<AcquireOutcome>) => void
}

export class BulkAcquisitions {
  readonly #parts: BulkParts
  readonly #underWay = new Set<BulkAcquisition>()

  constructor(parts: BulkParts) {
    this.#parts = parts
  }

  /**
   * @returns a lease or null for each key, by its index.
   * @throws UnavailableError, or the reason of an abort, once all that was acquired has been released.
   */
  async run(keys: readonly string[], settings: AcquireManySettings): Promise<(Lease | null)[]> {
    const acquisition = new BulkAcquisition(this.#parts, keys, settings)
    this.#underWay.add(acquisition)
    try {
      return await acquisition.run()
    } finally {
      this.#underWay.delete(acquisition)
    }
  }

  cancelAll(reason: unknown): void {
    for (const acquisition of this.#underWay) acquisition.cancel(reason)
  }
}

class BulkAcquisition implements Cancellable {
  readonly #parts: BulkParts
  readonly #keys: readonly string[]
  readonly #settings: AcquireManySettings
  readonly #startedAt: number
  /** As far as keys have been taken up. */
  readonly #results: (Lease | null)[] = []
  readonly #batches = new Set<AcquireParcel>()
  readonly #singles = new Set<Acquisition>()
  /** The first key that has not been taken up yet. */
  #next = 0
  #done = 0
  #failure: { readonly reason: unknown } | undefined
  /** Called when a single acquisition is over. */
  #onSingleOver: (() => void)[] = []

  constructor(parts: BulkParts, keys: readonly string[], settings: AcquireManySettings) {
    this.#parts = parts
    this.#keys = keys
    this.#settings = settings
    this.#startedAt = parts.clock.now()
  }

  async run(): Promise<(Lease | null)[]> {
    const { aborts, releaser, clock, batchSize } = this.#parts
    const { signal } = this.#settings
    if (signal) aborts.add(signal, this)
    const working: Promise<void>[] = []
    for (let begun = 0; begun < KEYS_UNDER_WAY && this.#next < this.#keys.length; begun += batchSize) {
      if (begun > 0 && begun % KEYS_BEGUN_AT_ONCE < batchSize) await new Promise<void>((resolve) => clock.soon(resolve))
      working.push(this.#work())
    }
    await Promise.all(working)
    while (this.#singles.size > 0) await this.#nextSingle()
    if (signal) aborts.remove(signal, this)
    if (this.#failure === undefined) return this.#results
    await releaser.releaseEach(this.#held())
    throw this.#failure.reason
  }

  cancel(reason: unknown): void {
    this.#fail(reason)
    for (const batch of this.#batches) batch.cancel()
    for (const single of this.#singles) single.cancel(reason)
  }

  *#held(): Generator<LeaseRecord, undefined> {
    const { table } = this.#parts
    for (const lease of this.#results) {
      const record = lease && table.get(lease.key)
      if (record?.handle === lease) yield record
    }
  }

  #fail(reason: unknown): void {
    this.#failure ??= { reason }
  }

  async #work(): Promise<void> {
    while (this.#next < this.#keys.length) {
      while (this.#singles.size >= LONGEST_QUEUE) await this.#nextSingle()
      const start = this.#next
      if (this.#failure || start >= this.#keys.length) return
      this.#next = Math.min(start + this.#parts.batchSize, this.#keys.length)
      await this.#ask(start, this.#next)
    }
  }

  /** Asks for the keys from `start` up to `end`. */
  async #ask(start: number, end: number): Promise<void> {
    const { lines, postParcel } = this.#parts
    const batch = new AcquireParcel(this.#parts, this.#settings)
    for (let index = start; index < end; index += 1) this.#results.push(null)
    for (let index = start; index < end; index += 1) {
      const key = this.#keys[index] as string
      // Who stands in line looks whether what is leased is over unnoticed, and a listener that hears of that may abort this.
      if (this.#failure) break
      if (lines.get(key) || !batch.add(key, index)) void this.#askSingly(index)
    }
    if (batch.size === 0 || this.#failure) {
      batch.cancel()
      // Whoever takes up thousands of them keeps the event loop for no longer than one batch takes.
      await new Promise<void>((resolve) => this.#parts.clock.soon(resolve))
      return
    }
    this.#batches.add(batch)
    postParcel(batch)
    await batch.settled
    this.#batches.delete(batch)
    this.#take(batch)
  }

  #take(batch: AcquireParcel): void {
    if (batch.failure) this.#fail(batch.failure)
    const { wait, onProgress } = this.#settings
    let done = 0
    for (let position = 0; position < batch.granted.length; position += 1) {
      const index = batch.indices[position] as number
      const lease = batch.granted[position] as Lease | null
      this.#results[index] = lease
      if (lease === null && wait > 0 && this.#failure === undefined) void this.#askSingly(index)
      else done += 1
    }
    this.#done += done
    if (done > 0) onProgress?.({ done: this.#done, total: this.#keys.length })
  }

  async #askSingly(index: number): Promise<void> {
    const { clock } = this.#parts
    const { wait, signal: _signal, onProgress, ...rest } = this.#settings
    const left = Math.max(wait - (clock.now() - this.#startedAt), 0)
    const key = this.#keys[index] as string
    // An abort is heard of here.
    const single = new Acquisition(this.#parts, key, { ...rest, wait: left, signal: undefined })
    this.#singles.add(single)
    try {
      const { handle = null } = await single.run()
      this.#results[index] = handle
    } catch (error) {
      if (error !== REFUSED) {
        this.#fail(error)
        for (const other of this.#singles) other.cancel(error)
      }
    } finally {
      this.#singles.delete(single)
      this.#done += 1
      if (this.#failure === undefined) onProgress?.({ done: this.#done, total: this.#keys.length })
      const waiting = this.#onSingleOver
      this.#onSingleOver = []
      for (const resolve of waiting) resolve()
    }
  }

  #nextSingle(): Promise<void> {
    return new Promise((resolve) => {
      this.#onSingleOver.push(resolve)
    })
  }
}

/** Keys that are asked for together. While they are, they are reserved. */
class AcquireParcel implements Parcel<AcquireOutcome> {
  readonly timeout: number
  /** Resolves when it is answered, given up or cancelled. */
  readonly settled: Promise<void>
  /** By place: a lease, or nothing. */
  granted: (Lease | null)[] = []
  /** By place: the index of the key. */
  readonly indices: number[] = []
  failure: UnavailableError | undefined
  readonly #parts: BulkParts
  readonly #settings: AcquireManySettings
  readonly #records: LeaseRecord[] = []
  /** See `LeaseTable.isStale`. */
  readonly #upheavals: number
  #resolve: (() => void) | undefined
  /** Its answer is being gone through: a listener that hears of a lease may cancel it. */
  #settling = false

  constructor(parts: BulkParts, settings: AcquireManySettings) {
    this.#parts = parts
    this.#settings = settings
    this.timeout = settings.timeout
    this.#upheavals = parts.table.upheavals
    this.settled = new Promise((resolve) => {
      this.#resolve = resolve
    })
  }

  get size(): number {
    return this.#records.length
  }

  /** @returns whether the key is free: only then it is taken up. */
  add(key: string, index: number): boolean {
    const { table, createToken } = this.#parts
    const record = new LeaseRecord(key, createToken(), this.#settings)
    if (!table.reserve(record)) return false
    this.#records.push(record)
    this.indices.push(index)
    return true
  }

  take(): readonly LeaseRecord[] {
    if (this.#resolve === undefined) return []
    this.#parts.tally.asks += this.#records.length
    return this.#records
  }

  settle(outcomeOf: (index: number) => AcquireOutcome, sentAt = Number.NEGATIVE_INFINITY): void {
    const cancelled = this.#resolve === undefined
    const { clock, driftFactor, table, verifier, releaser, grant } = this.#parts
    const late = clock.now() >= deadlineOf(sentAt, this.#settings.ttl, driftFactor)
    const granted: (Lease | null)[] = []
    this.#settling = true
    for (let index = 0; index < this.#records.length; index += 1) {
      const record = this.#records[index] as LeaseRecord
      const outcome = outcomeOf(index)
      granted.push(null)
      if (outcome.type === 'refused') continue
      if (outcome.type === 'granted' && !late && !cancelled) {
        const stale = table.isStale(record, this.#upheavals)
        const held = grant(record, outcome.fence, this.#settings, sentAt)
        if (held) granted[index] = record.handle as Lease
        else this.#fail(record, TOO_LATE)
        if (held && stale) verifier.verify(record)
        continue
      }
      this.#fail(record, outcome.type === 'unknown' ? outcome.error : TOO_LATE)
      if (sentAt !== Number.NEGATIVE_INFINITY) releaser.undo(record, sentAt, outcome.type === 'unknown')
    }
    this.#settling = false
    if (cancelled) return
    this.granted = granted
    this.#finish()
  }

  /** What it brings, or may bring, is given back. */
  cancel(): void {
    if (this.#resolve && !this.#settling) this.#finish()
  }

  #finish(): void {
    this.#resolve?.()
    this.#resolve = undefined
    const { table, lines } = this.#parts
    for (const record of this.#records) {
      table.free(record)
      lines.onAskedFor(record.key)
    }
  }

  /** Where there is time, the key is asked for once more, with another token. */
  #fail({ key }: LeaseRecord, cause: Error): void {
    if (this.#settings.wait > 0) return
    this.failure ??= new UnavailableError(`Lock \`${key}\` could not be asked for: ${cause.message}`, key, { cause })
  }
}
