/**
 * A binary heap in typed arrays that knows where each entry is, so that one can be moved. Promises O(log n) for each
 * operation.
 */
import type { TimerQueue } from './timer-queue.ts'

export class HeapQueue implements TimerQueue {
  readonly #heap: Int32Array
  readonly #place: Int32Array
  readonly #due: Float64Array
  #size = 0

  constructor(capacity: number) {
    this.#heap = new Int32Array(capacity)
    this.#place = new Int32Array(capacity)
    this.#due = new Float64Array(capacity)
  }

  schedule(entry: number, due: number): void {
    this.#due[entry] = due
    this.#rise(entry, this.#size++)
  }

  reschedule(entry: number, due: number): void {
    const isEarlier = due < (this.#due[entry] as number)
    this.#due[entry] = due
    const place = this.#place[entry] as number
    if (isEarlier) this.#rise(entry, place)
    else this.#sink(entry, place)
  }

  fire(now: number): number {
    let fired = 0
    while (this.#size > 0 && (this.#due[this.#heap[0] as number] as number) <= now) {
      const last = this.#heap[--this.#size] as number
      if (this.#size > 0) this.#sink(last, 0)
      fired++
    }
    return fired
  }

  #rise(entry: number, from: number): void {
    const due = this.#due[entry] as number
    let place = from
    while (place > 0) {
      const above = (place - 1) >> 1
      const parent = this.#heap[above] as number
      if ((this.#due[parent] as number) <= due) break
      this.#put(parent, place)
      place = above
    }
    this.#put(entry, place)
  }

  #sink(entry: number, from: number): void {
    const due = this.#due[entry] as number
    let place = from
    for (;;) {
      const left = 2 * place + 1
      if (left >= this.#size) break
      const right = left + 1
      const isRight = right < this.#size && this.#dueAt(right) < this.#dueAt(left)
      const below = isRight ? right : left
      const child = this.#heap[below] as number
      if ((this.#due[child] as number) >= due) break
      this.#put(child, place)
      place = below
    }
    this.#put(entry, place)
  }

  #dueAt(place: number): number {
    return this.#due[this.#heap[place] as number] as number
  }

  #put(entry: number, place: number): void {
    this.#heap[place] = entry
    this.#place[entry] = place
  }
}
