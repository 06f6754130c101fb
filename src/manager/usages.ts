/**
 * The work that `using` runs, and how a closing manager waits for it. While work runs and its signal is not aborted, the
 * manager does not release its lock (P29).
 *
 *     running ──▶ its end ──▶ released
 *        └──the drain is over──▶ signal aborted ──a turn of the event loop later──▶ released, and `using` rejects when its work ends
 */
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
  /** The end of the drain, in ms on the clock. */
  #end = Number.POSITIVE_INFINITY
  #alarm: Alarm | undefined
  #onDrained: (() => void) | undefined

  constructor(parts: UsagesParts) {
    this.#parts = parts
  }

  get size(): number {
    return this.#running.size
  }

  /** Whether work runs under this lease. */
  has(record: LeaseRecord): boolean {
    return this.#running.size > 0 && this.#running.has(record)
  }

  /** Does the work under a lease, then releases it. @throws what the work throws, the loss, or ManagerClosedError if `close` released it. */
  async run<T>(record: LeaseRecord, work: (lease: Lease) => Promise<T> | T): Promise<T> {
    const lease = record.handle as Lease
    let result: T
    this.#running.add(record)
    try {
      result = await work(lease)
    } finally {
      this.#running.delete(record)
      const released = lease.release()
      if (this.#running.size === 0) this.#drained()
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
    if (this.#running.size === 0 || this.#parts.clock.now() >= this.#end) return Promise.resolve()
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
