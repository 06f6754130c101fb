/**
 * What is to be sent, nearest deadline first. Kept sorted lazily: additions mostly come in order, and are then free; after
 * others the next `take` sorts. Pure; may import nothing.
 */
export class DeadlineQueue<T extends { readonly deadline: number }> {
  readonly #slack: number
  #items: T[] = []
  #start = 0
  #sorted = true

  /** @param slack how far from order (ms) two deadlines may be: within it nobody minds, and sorting is spared. */
  constructor(slack: number) {
    this.#slack = slack
  }

  get size(): number {
    return this.#items.length - this.#start
  }

  add(item: T): void {
    const last = this.#items.at(-1)
    if (last !== undefined && item.deadline < last.deadline - this.#slack) this.#sorted = false
    this.#items.push(item)
  }

  /** Takes out up to `count` items that are still `wanted`, dropping those that are not. */
  take(count: number, wanted: (item: T) => boolean): T[] {
    if (!this.#sorted) {
      this.#items = this.#items.slice(this.#start).sort((a, b) => a.deadline - b.deadline)
      this.#start = 0
      this.#sorted = true
    }
    const taken: T[] = []
    while (taken.length < count && this.#start < this.#items.length) {
      const item = this.#items[this.#start] as T
      this.#start += 1
      if (wanted(item)) taken.push(item)
    }
    if (this.#start === this.#items.length) {
      this.#items = []
      this.#start = 0
    }
    return taken
  }
}
