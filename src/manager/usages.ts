/**
 * The work that `using` runs, and how a closing manager waits for it. While work runs and its signal is not aborted, the
 * manager does not release its lock (P29).
 *
 *     running ──▶ its end ──▶ released
 *        └──the drain is over──▶ signal aborted ──a turn of the event loop later──▶ released, and `using` rejects when its work ends
 */
import { LockNotHeldError } from '../errors.ts'
import type { Clock } from '../time/clock.ts'
import type { Lease } from '../lease/lease.ts'
import type { LeaseRecord } from '../lease/lease-record.ts'
import type { LeaseTable } from '../lease/lease-table.ts'
import type { Alarm, Alarms } from '../time/scheduler.ts'

export interface UsagesParts {
  readonly clock: Clock
  readonly scheduler: Alarms
  readonly table: LeaseTable
}

export class Usages {
  readonly #parts: UsagesParts
  readonly #running = new Set<LeaseRecord>()
  /** Other work that is waited for. */
  #others = 0
  /** The end of the drain, in ms on the clock. */
  #end = Number.POSITIVE_INFINITY
  #alarm: Alarm | undefined
  #onDrained: (() => void) | undefined

  constructor(parts: UsagesParts) {
    this.#parts = parts
  }

  get size(): number {
    return this.#running.size + this.#others
  }

  /** Lets a closing manager wait for other work, too. @param work never rejects. */
  include(work: Promise<void>): void {
    this.#others += 1
    void work.then(() => {
      this.#others -= 1
      if (this.size === 0) this.#drained()
    })
  }

  /** Whether work runs under this lease. */
  has(record: LeaseRecord): boolean {
    return this.#running.size > 0 && this.#running.has(record)
  }

  /**
   * Does the work under a lease that was just acquired, then releases it. @param atLeast how long its key stays at least, in ms. @throws what the work
   * throws, what ended the lease before, the loss, or ManagerClosedError if `close` released it.
   */
  async use<T>(lease: Lease, work: (lease: Lease) => Promise<T> | T, atLeast: number | undefined): Promise<T> {
    const record = this.#parts.table.records.of(lease)
    // The lease has ended meanwhile: the work would run without the lock.
    if (record === undefined)
      throw lease.state === 'lost' ? lease.signal.reason : new LockNotHeldError(lease.key, lease.state)
    if (atLeast !== undefined) record.own.stay = { since: record.fence, duration: atLeast }
    return this.#run(record, work)
  }

  /** @throws what the work throws, the loss, or ManagerClosedError if `close` released it. */
  async #run<T>(record: LeaseRecord, work: (lease: Lease) => Promise<T> | T): Promise<T> {
    const lease = record.handle as Lease
    let result: T
    this.#running.add(record)
    try {
      result = await work(lease)
    } finally {
      this.#running.delete(record)
      const released = lease.release()
      if (this.size === 0) this.#drained()
      await released
    }
    if (record.has.loss) throw record.has.loss
    if (record.closed && record.has.givenBack) throw record.has.givenBack
    return result
  }

  /** Ends the drain at most `duration` ms from now. A later call may shorten it, but never lengthen it. */
  limit(duration: number): void {
    this.#end = Math.min(this.#end, this.#parts.clock.now() + duration)
    if (this.#onDrained) this.#arm()
  }

  /** Resolves once no work runs any more, or the drain is over. */
  drain(): Promise<void> {
    if (this.size === 0 || this.#parts.clock.now() >= this.#end) return Promise.resolve()
    return new Promise((resolve) => {
      this.#onDrained = resolve
      this.#arm()
    })
  }

  /** Aborts the signals of all work that still runs, because its locks are about to be released. */
  forewarn(): void {
    for (const record of this.#running) this.#parts.table.forewarn(record)
  }

  #arm(): void {
    this.#alarm?.cancel()
    const left = this.#end - this.#parts.clock.now()
    if (left === Number.POSITIVE_INFINITY) return
    this.#alarm = this.#parts.scheduler.after(Math.max(left, 0), () => this.#drained())
  }

  #drained(): void {
    this.#alarm?.cancel()
    this.#onDrained?.()
    this.#onDrained = undefined
  }
}
