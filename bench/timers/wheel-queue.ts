/** leasewheel's wheel. Promises the entries as items, as the library has its cohorts. */
import { TimerWheel } from '../../src/structures/timer-wheel.ts'
import type { TimerQueue } from './timer-queue.ts'

export class WheelQueue implements TimerQueue {
  readonly #wheel = new TimerWheel<number>(0)

  schedule(entry: number, due: number): void {
    // Ids are given in order, and none is given back: the id of an entry is its number.
    this.#wheel.schedule(this.#wheel.add(entry), due)
  }

  reschedule(entry: number, due: number): void {
    this.#wheel.schedule(entry, due)
  }

  fire(now: number): number {
    return this.#wheel.advance(now).length
  }
}
