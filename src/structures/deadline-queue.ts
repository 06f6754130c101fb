/**
 * What is to be sent, nearest deadline first. Kept sorted lazily: additions mostly come in order, and are then free; after
 * others the next `peek` sorts. Pure.
 */
export class DeadlineQueue<T extends { readonly deadline: number }> {
  readonly #slack: number
  #items: T[] = []
  #start = 0
  #sorted = true
  /** The latest deadline added since the queue was empty. */
  #latest = Number.NEGATIVE_INFINITY

  /** @param slack how far from order (ms) two deadlines may be: within it nobody minds, and sorting is spared. */
  constructor(slack: number) {
    this.#slack = slack
  }

  get size(): number {
    return this.#items.length - this.#start
  }

  add(item: T): void {
    // Compared with the latest of all, not with the one before: many steps back within the slack add up to a long way.
    if (item.deadline > this.#latest) this.#latest = item.deadline
    else if (item.deadline < this.#latest - this.#slack) this.#sorted = false
    this.#items.push(item)
  }

  /** The item with the nearest deadline that is still `wanted`; those before it that are not are dropped. */
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
    // What has been taken out is let go once it is half of the array, so that a queue that never runs empty does not grow.
    if (this.#start * 2 < this.#items.length) return
    this.#items = this.#items.slice(this.#start)
    this.#start = 0
    if (this.#items.length === 0) this.#latest = Number.NEGATIVE_INFINITY
  }
}
