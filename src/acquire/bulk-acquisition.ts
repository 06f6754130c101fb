/**
 * Many keys at once, each on its own. A key that nobody here holds, wants or asks for is asked for without a turn, a
 * promise or a pause of its own: batches of such keys are put together, sent and settled as wholes. All others, and
 * those that are to be waited for, become acquisitions like any other.
 */
import type { Cancellable } from './abort-watch.ts'
import { AcquireBatch, type BulkParts, type BulkSettings } from './acquire-batch.ts'
import { Acquisition } from './acquisition.ts'
import { REFUSED } from './failures.ts'
import { LeaseError, LockNotHeldError, UnavailableError } from '../errors.ts'
import type { Lease } from '../lease/lease.ts'
import type { LeaseRecord } from '../lease/lease-record.ts'
import { Bell } from '../requests/bell.ts'
import { nextTurn } from '../time/clock.ts'

/** Keys under way at once: bounds memory, and how long the event loop is kept by those that are answered together. */
const KEYS_UNDER_WAY = 8_192
/** Keys that are put together before the event loop has its next turn: some ms of work. */
const KEYS_BEGUN_AT_ONCE = 2_048
/** Keys that are waited for at once. */
const LONGEST_QUEUE = 10_000

export class BulkAcquisitions {
  readonly #parts: BulkParts
  readonly #underWay = new Set<BulkAcquisition>()

  constructor(parts: BulkParts) {
    this.#parts = parts
  }

  /**
   * @returns a lease or null for each key, by its index.
   * @throws UnavailableError, LockNotHeldError (see `allOrNone`), once all that was acquired has been released; or, at once, the reason of an abort.
   */
  async run(keys: readonly string[], settings: BulkSettings): Promise<(Lease | null)[]> {
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
  readonly #settings: BulkSettings
  readonly #startedAt: number
  /** As far as keys have been taken up. */
  readonly #results: (Lease | null)[] = []
  readonly #batches = new Set<AcquireBatch>()
  /** By key: no key is waited for twice. */
  readonly #singles = new Map<string, Acquisition>()
  /** The leases that this call has acquired. Made when a key is first found to be leased here. */
  #acquired: Set<Lease> | undefined
  /** The first key that has not been taken up yet. */
  #next = 0
  #done = 0
  #failure: { readonly reason: unknown } | undefined
  #cancelled = false
  #onCancelled: (() => void) | undefined
  readonly #singleOver = new Bell()

  /** @param settings one object for each call: it tells this call's reservations from all others. */
  constructor(parts: BulkParts, keys: readonly string[], settings: BulkSettings) {
    this.#parts = parts
    this.#keys = keys
    this.#settings = settings
    this.#startedAt = parts.clock.now()
  }

  async run(): Promise<(Lease | null)[]> {
    const { aborts, releaser, clock, batchSize, onFault } = this.#parts
    const { signal } = this.#settings
    if (signal) aborts.add(signal, this)
    const working: Promise<void>[] = []
    for (let begun = 0; begun < KEYS_UNDER_WAY && this.#next < this.#keys.length; begun += batchSize) {
      if (begun > 0 && begun % KEYS_BEGUN_AT_ONCE < batchSize) await nextTurn(clock)
      working.push(this.#work())
    }
    await Promise.all(working)
    while (this.#singles.size > 0) await this.#singleOver.next()
    if (this.#failure === undefined) {
      if (signal) aborts.remove(signal, this)
      return this.#results
    }
    const released = releaser.releaseEach(this.#held()).catch(onFault)
    // A server that hangs keeps nobody who has cancelled the call.
    if (!this.#cancelled) await Promise.race([released, new Promise<void>((resolve) => (this.#onCancelled = resolve))])
    if (signal) aborts.remove(signal, this)
    throw this.#failure.reason
  }

  cancel(reason: unknown): void {
    this.#cancelled = true
    this.#stop(reason)
    for (const batch of this.#batches) batch.cancel()
    this.#onCancelled?.()
  }

  #stop(reason: unknown): void {
    this.#fail(reason)
    for (const single of this.#singles.values()) single.cancel(reason)
  }

  *#held(): Generator<LeaseRecord, undefined> {
    const { table } = this.#parts
    for (const lease of this.#results) {
      const record = lease && table.get(lease.key)
      if (record?.handle === lease) yield record
    }
  }

  #fail(reason: unknown): void {
    // What the caller's own code threw nobody else is told of (P31): it comes before an answer that was not given.
    const isFault = !(this.#cancelled || reason instanceof LeaseError)
    if (this.#failure === undefined || (isFault && this.#failure.reason instanceof UnavailableError)) {
      this.#failure = { reason }
    }
  }

  async #work(): Promise<void> {
    while (this.#next < this.#keys.length) {
      while (this.#singles.size >= LONGEST_QUEUE) await this.#singleOver.next()
      const start = this.#next
      if (this.#failure || start >= this.#keys.length) return
      this.#next = Math.min(start + this.#parts.batchSize, this.#keys.length)
      await this.#ask(start, this.#next)
    }
  }

  /** Asks for the keys from `start` up to `end`. */
  async #ask(start: number, end: number): Promise<void> {
    const { lines, dispatch } = this.#parts
    const batch = new AcquireBatch(this.#parts, this.#settings)
    let repeated = 0
    for (let index = start; index < end; index += 1) this.#results.push(null)
    for (let index = start; index < end; index += 1) {
      const key = this.#keys[index] as string
      // Who stands in line looks whether what is leased is over unnoticed, and a listener that hears of that may abort this.
      if (this.#failure) break
      if (lines.get(key) === undefined && batch.add(key, index)) continue
      if (this.#isRepeated(key)) repeated += 1
      else void this.#askSingly(index)
    }
    this.#progress(repeated)
    if (batch.size === 0 || this.#failure) {
      batch.cancel()
      // Whoever takes up thousands of them keeps the event loop for no longer than one batch takes.
      await nextTurn(this.#parts.clock)
      return
    }
    this.#batches.add(batch)
    dispatch.acquireTogether(batch)
    await batch.settled
    this.#batches.delete(batch)
    this.#take(batch)
  }

  /** Whether a key that cannot be taken up is one that this call has acquired, or is asking for: it stands twice. */
  #isRepeated(key: string): boolean {
    const { table } = this.#parts
    if (this.#singles.has(key) || table.reservations.hasOf(key, this.#settings)) return true
    const lease = table.get(key)?.handle
    if (lease === undefined) return false
    this.#acquired ??= new Set(this.#results.filter((result) => result !== null))
    if (this.#acquired.has(lease)) return true
    // Answered, and not taken over yet.
    for (const { granted } of this.#batches) if (granted.includes(lease)) return true
    return false
  }

  #progress(done: number): void {
    this.#done += done
    if (done > 0) this.#settings.onProgress?.({ done: this.#done, total: this.#keys.length })
  }

  #take(batch: AcquireBatch): void {
    if (batch.failure) this.#stop(batch.failure)
    const { wait } = this.#settings
    let done = 0
    for (let position = 0; position < batch.granted.length; position += 1) {
      const index = batch.indices[position] as number
      const lease = batch.granted[position] as Lease | null
      this.#results[index] = lease
      if (lease) this.#acquired?.add(lease)
      if (lease === null && wait > 0 && this.#failure === undefined && !batch.ended.has(position))
        void this.#askSingly(index)
      else done += 1
    }
    this.#progress(done)
  }

  async #askSingly(index: number): Promise<void> {
    const { clock } = this.#parts
    const { wait, signal: _signal, onProgress, allOrNone, ...rest } = this.#settings
    const left = Math.max(wait - (clock.now() - this.#startedAt), 0)
    const key = this.#keys[index] as string
    // An abort is heard of here.
    const single = new Acquisition(this.#parts, key, { ...rest, wait: left, signal: undefined })
    this.#singles.set(key, single)
    try {
      const { handle = null } = await single.run()
      this.#results[index] = handle
      if (handle) this.#acquired?.add(handle)
    } catch (error) {
      const isEnded = error instanceof LockNotHeldError && !allOrNone
      if (error !== REFUSED && !isEnded) this.#stop(error)
    } finally {
      this.#singles.delete(key)
      this.#done += 1
      if (this.#failure === undefined) onProgress?.({ done: this.#done, total: this.#keys.length })
      this.#singleOver.ring()
    }
  }
}
