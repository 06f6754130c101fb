/** Virtual time: what is to happen when, in order. What was planned first comes first at the same moment. */

/** Something that is to happen. */
export interface Appointment {
  readonly time: number
  cancel(): void
}

/** A class, as closures that have names are slow to make where TypeScript is compiled on the way. */
class Entry implements Appointment {
  readonly time: number
  readonly order: number
  /** None once it has been cancelled. */
  action: (() => void) | undefined

  constructor(time: number, order: number, action: () => void) {
    this.time = time
    this.order = order
    this.action = action
  }

  cancel(): void {
    this.action = undefined
  }
}

/** A binary heap (J. W. J. Williams, 1964) of appointments; those that were cancelled are passed over. */
export class Timeline {
  /** ms since the beginning: the true time, which no clock in the simulation knows. */
  now = 0
  readonly #heap: Entry[] = []
  #order = 0

  at(time: number, action: () => void): Appointment {
    const entry = new Entry(Math.max(time, this.now), this.#order++, action)
    this.#heap.push(entry)
    this.#rise(this.#heap.length - 1)
    return entry
  }

  after(delay: number, action: () => void): Appointment {
    return this.at(this.now + delay, action)
  }

  /** Moves the time on to the next appointment, and does what was to be done. @returns whether there was any. */
  step(): boolean {
    for (;;) {
      const entry = this.#take()
      if (entry === undefined) return false
      const { action } = entry
      if (action === undefined) continue
      this.now = entry.time
      action()
      return true
    }
  }

  #take(): Entry | undefined {
    const first = this.#heap[0]
    const last = this.#heap.pop()
    if (first !== last && last !== undefined) {
      this.#heap[0] = last
      this.#sink()
    }
    return first
  }

  #rise(from: number): void {
    const heap = this.#heap
    for (let index = from; index > 0; ) {
      const parent = (index - 1) >> 1
      if (!this.#isBefore(index, parent)) return
      ;[heap[index], heap[parent]] = [heap[parent] as Entry, heap[index] as Entry]
      index = parent
    }
  }

  #sink(): void {
    const heap = this.#heap
    for (let index = 0; ; ) {
      let first = index
      for (const child of [2 * index + 1, 2 * index + 2]) {
        if (child < heap.length && this.#isBefore(child, first)) first = child
      }
      if (first === index) return
      ;[heap[index], heap[first]] = [heap[first] as Entry, heap[index] as Entry]
      index = first
    }
  }

  #isBefore(one: number, other: number): boolean {
    const { time, order } = this.#heap[one] as Entry
    const than = this.#heap[other] as Entry
    return time < than.time || (time === than.time && order < than.order)
  }
}
