/**
 * A queue with the nearest deadline first, sorted lazily. Most additions come in order and cost nothing; after any other
 * addition the next `peek` sorts. Pure.
 */
export class DeadlineQueue<T extends { readonly deadline: number }> {
  readonly #slack: number
  #items: T[] = []
  #start = 0
  #sorted = true
  /** The latest deadline added since the queue was empty. */
  #latest = Number.NEGATIVE_INFINITY

  /** @param slack ms by which two deadlines may be out of order without a sort. */
  constructor(slack: number) {
    this.#slack = slack
  }

  get size(): number {
    return this.#items.length - this.#start
  }

  add(item: T): void {
    // Compared with the latest of all, not with the previous one: many small steps back would add up.
    if (item.deadline > this.#latest) this.#latest = item.deadline
    else if (item.deadline < this.#latest - this.#slack) this.#sorted = false
    this.#items.push(item)
  }

  /** The item with the nearest deadline that is still `wanted`. It drops unwanted items before that. */
  peek(wanted: (item: T) => boolean): T | undefined {
    if (!this.#sorted) {
      this.#items = this.#items.slice(this.#start).sort((a, b) => a.deadline - b.deadline)
      this.#start = 0
      this.#sorted = true
    }
    while (this.#start < this.#items.length) {
      const item = this.#items[this.#start] as T
      if (wanted(item)) return item
      this.shift()
    }
    return undefined
  }

  /** Takes out the first item. */
  shift(): void {
    this.#start += 1
    // Taken items are freed once they are half of the array, so that a queue that never runs empty does not grow.
    if (this.#start * 2 < this.#items.length) return
    this.#items = this.#items.slice(this.#start)
    this.#start = 0
    if (this.#items.length === 0) this.#latest = Number.NEGATIVE_INFINITY
  }
}
