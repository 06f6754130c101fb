/**
 * A list in the order of scheduling, in typed arrays: enough where every entry has the same ttl, since then it is the
 * order of their due times. Promises O(1), for one ttl: with several it takes a list for each.
 */
import type { TimerQueue } from './timer-queue.ts'

const NONE = -1

export class FifoQueue implements TimerQueue {
  readonly #next: Int32Array
  readonly #previous: Int32Array
  readonly #due: Float64Array
  #first = NONE
  #last = NONE

  constructor(capacity: number) {
    this.#next = new Int32Array(capacity)
    this.#previous = new Int32Array(capacity)
    this.#due = new Float64Array(capacity)
  }

  schedule(entry: number, due: number): void {
    this.#due[entry] = due
    this.#next[entry] = NONE
    this.#previous[entry] = this.#last
    if (this.#last === NONE) this.#first = entry
    else this.#next[this.#last] = entry
    this.#last = entry
  }

  reschedule(entry: number, due: number): void {
    this.#unlink(entry)
    this.schedule(entry, due)
  }

  fire(now: number): number {
    let fired = 0
    while (this.#first !== NONE && (this.#due[this.#first] as number) <= now) {
      this.#unlink(this.#first)
      fired++
    }
    return fired
  }

  #unlink(entry: number): void {
    const next = this.#next[entry] as number
    const previous = this.#previous[entry] as number
    if (previous === NONE) this.#first = next
    else this.#next[previous] = next
    if (next === NONE) this.#last = previous
    else this.#previous[next] = previous
  }
}
