/**
 * Acquires many keys, each independently. Keys that no caller here holds, wants or asks for go into batches, without a
 * turn, a promise or a pause of their own. All other keys, and those that the call waits for, become acquisitions.
 */
import type { Cancellable } from './abort-watch.ts'
import { AcquireBatch, type BulkParts, type BulkSettings } from './acquire-batch.ts'
import { Acquisition } from './acquisition.ts'
import { REFUSED } from './failures.ts'
import type { Routing } from '../backend.ts'
import { LeaseError, LockNotHeldError, UnavailableError } from '../errors.ts'
import type { Lease } from '../lease/lease.ts'
import type { LeaseRecord } from '../lease/lease-record.ts'
import { Bell } from '../requests/bell.ts'
import { lanesByPlace, type PlaceLane } from '../requests/place-order.ts'
import { nextTurn } from '../time/clock.ts'
import { Pause } from '../waiting/pause.ts'

/** Keys under way at once: bounds memory, and the time in which answers that come together block the event loop. */
const KEYS_UNDER_WAY = 8_192
/** The same for each of several servers. */
const KEYS_UNDER_WAY_PER_SERVER = 2_048
/** Keys put into batches before the event loop has its next turn: some ms of work. */
const KEYS_BEGUN_AT_ONCE = 2_048
/** ms after which a call that lets renewals pass looks again. */
const PASSING = 10
/** Keys that one call waits for at once. */
const LONGEST_QUEUE = 10_000

export class BulkAcquisitions {
  readonly #parts: BulkParts
  readonly #underWay = new Set<BulkAcquisition>()

  constructor(parts: BulkParts) {
    this.#parts = parts
  }

  /**
   * @returns a lease or null for each key, by its index.
   * @throws UnavailableError, LockNotHeldError (see `allOrNone`), once the call has released all that it acquired; or, at once, the reason of an abort.
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
  /** One for each key that was begun. */
  readonly #results: (Lease | null)[] = []
  readonly #batches = new Set<AcquireBatch>()
  /** By key: the call waits for no key twice. */
  readonly #singles = new Map<string, Acquisition>()
  /** The leases that this call has acquired. Created at the first key that is leased here already. */
  #acquired: Set<Lease> | undefined
  /** The index of the first key that was not begun. If there are several servers, their lanes know. */
  #next = 0
  #done = 0
  #failure: { readonly reason: unknown } | undefined
  #cancelled = false
  #onCancelled: (() => void) | undefined
  readonly #singleOver = new Bell()
  /** Of batches that let renewals pass. */
  readonly #pauses = new Set<Pause>()

  /** @param settings one object per call: it marks the reservations of this call. */
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
    if (this.#parts.routing) {
      await this.#workByPlace(this.#parts.routing)
    } else {
      const working: Promise<void>[] = []
      for (let begun = 0; begun < KEYS_UNDER_WAY && this.#next < this.#keys.length; begun += batchSize) {
        if (begun > 0 && begun % KEYS_BEGUN_AT_ONCE < batchSize) await nextTurn(clock)
        working.push(this.#work())
      }
      await Promise.all(working)
    }
    while (this.#singles.size > 0) await this.#singleOver.next()
    if (this.#failure === undefined) {
      if (signal) aborts.remove(signal, this)
      return this.#results
    }
    const released = releaser.releaseEach(this.#held()).catch(onFault)
    // A server that hangs does not delay a caller that cancels.
    if (!this.#cancelled) await Promise.race([released, new Promise<void>((resolve) => (this.#onCancelled = resolve))])
    if (signal) aborts.remove(signal, this)
    throw this.#failure.reason
  }

  /** Works for all servers at once. The keys of a request belong to one of them, and stand in the order of their places. */
  async #workByPlace(routing: Routing): Promise<void> {
    const { clock, batchSize } = this.#parts
    for (const _key of this.#keys) this.#results.push(null)
    const lanes = await lanesByPlace(this.#keys, routing, this.#parts)
    const working: Promise<void>[] = []
    for (let begun = 0; begun < KEYS_UNDER_WAY_PER_SERVER; begun += batchSize) {
      if (begun > 0 && (begun * lanes.length) % KEYS_BEGUN_AT_ONCE < batchSize * lanes.length) await nextTurn(clock)
      for (const lane of lanes) working.push(this.#workIn(lane))
    }
    await Promise.all(working)
  }

  async #workIn(lane: PlaceLane): Promise<void> {
    for (let isFirst = true; ; isFirst = false) {
      while (this.#singles.size >= LONGEST_QUEUE) await this.#singleOver.next()
      const indices = this.#failure ? undefined : lane.take()
      if (indices === undefined) return
      if (!isFirst) await this.#letRenewalsPass(this.#keys[indices[0] as number] as string)
      await this.#ask(0, indices.length, indices)
    }
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
    // A fault of the caller's own code comes before an unanswered attempt: nothing else reports it (P31).
    const isFault = !(this.#cancelled || reason instanceof LeaseError)
    if (this.#failure === undefined || (isFault && this.#failure.reason instanceof UnavailableError)) {
      this.#failure = { reason }
    }
    for (const pause of this.#pauses) pause.end()
  }

  async #work(): Promise<void> {
    for (let isFirst = true; this.#next < this.#keys.length; isFirst = false) {
      while (this.#singles.size >= LONGEST_QUEUE) await this.#singleOver.next()
      if (!isFirst) await this.#letRenewalsPass(this.#keys[0] as string)
      const start = this.#next
      if (this.#failure || start >= this.#keys.length) return
      this.#next = Math.min(start + this.#parts.batchSize, this.#keys.length)
      for (let index = start; index < this.#next; index += 1) this.#results.push(null)
      await this.#ask(start, this.#next)
    }
  }

  /**
   * What is held comes first: a server that is kept busy with new locks renews too late. After its timeout a batch is sent all the same, so that a
   * server that is too slow for the renewals alone ends no call.
   */
  async #letRenewalsPass(key: string): Promise<void> {
    const { clock, scheduler, isPressed } = this.#parts
    const pause = new Pause(scheduler)
    const until = clock.now() + this.#settings.timeout
    this.#pauses.add(pause)
    while (this.#failure === undefined && isPressed(key) && clock.now() < until) await pause.rest(PASSING)
    this.#pauses.delete(pause)
  }

  /** Asks for the keys from `start` up to `end`. @param indices their places in the call, if they were sorted. */
  async #ask(start: number, end: number, indices?: readonly number[]): Promise<void> {
    const { lines, dispatch } = this.#parts
    const batch = new AcquireBatch(this.#parts, this.#settings, this.#startedAt)
    let repeated = 0
    for (let position = start; position < end; position += 1) {
      const index = indices === undefined ? position : (indices[position] as number)
      const key = this.#keys[index] as string
      // Entering a line observes the lease on the key. If that has expired, a listener of `lost` may abort this call.
      if (this.#failure) break
      if (lines.get(key) === undefined && batch.add(key, index)) continue
      if (this.#isRepeated(key)) repeated += 1
      else void this.#askSingly(index)
    }
    this.#progress(repeated)
    if (batch.size === 0 || this.#failure) {
      batch.cancel()
      // A call with thousands of such keys blocks the event loop for one batch at a time.
      await nextTurn(this.#parts.clock)
      return
    }
    this.#batches.add(batch)
    dispatch.acquireTogether(batch)
    await batch.settled
    this.#batches.delete(batch)
    this.#take(batch)
  }

  /** Whether a key that is not free is one that this call has acquired, or asks for: it stands twice. */
  #isRepeated(key: string): boolean {
    const { table } = this.#parts
    if (this.#singles.has(key) || table.reservations.hasOf(key, this.#settings)) return true
    const lease = table.get(key)?.handle
    if (lease === undefined) return false
    this.#acquired ??= new Set(this.#results.filter((result) => result !== null))
    if (this.#acquired.has(lease)) return true
    // Granted, but not in the results yet.
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
    const { clock, tally } = this.#parts
    const { wait, signal: _signal, onProgress, allOrNone, ...rest } = this.#settings
    const left = Math.max(wait - (clock.now() - this.#startedAt), 0)
    const key = this.#keys[index] as string
    // This call watches the signal itself.
    const single = new Acquisition(this.#parts, key, { ...rest, wait: left, signal: undefined })
    this.#singles.set(key, single)
    try {
      const { handle = null } = await single.run()
      this.#results[index] = handle
      if (handle) this.#acquired?.add(handle)
      const now = clock.now()
      tally.measure('wait', now - this.#startedAt, now)
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
