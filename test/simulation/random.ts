/** Where all chance of a simulation comes from: numbers that look random and follow from a seed. */

export class Random {
  #state: number

  constructor(seed: number) {
    this.#state = seed | 0
  }

  /** A number in [0, 1). (mulberry32, Tommy Ettinger, 2017) */
  readonly next = (): number => {
    this.#state = (this.#state + 0x6d2b79f5) | 0
    let mixed = Math.imul(this.#state ^ (this.#state >>> 15), 1 | this.#state)
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32
  }

  /** A source of its own: what is drawn from it changes nothing in what is drawn here later. */
  fork(): Random {
    return new Random(Math.floor(this.next() * 2 ** 32))
  }

  chance(probability: number): boolean {
    return this.next() < probability
  }

  /** A number in [from, to). */
  between(from: number, to: number): number {
    return from + (to - from) * this.next()
  }

  /** An integer from `from` to `to`, both included. */
  integer(from: number, to: number): number {
    return from + Math.floor((to - from + 1) * this.next())
  }

  /** Times between events that come at random, `mean` apart. */
  exponential(mean: number): number {
    return -Math.log(1 - this.next()) * mean
  }

  pick<T>(list: readonly T[]): T {
    return list[Math.floor(this.next() * list.length)] as T
  }

  /** One of the names, each as often as its weight says. */
  weighted<N extends string>(weights: Readonly<Record<N, number>>): N {
    const entries = Object.entries(weights) as [N, number][]
    let left = this.next() * entries.reduce((sum, [, weight]) => sum + weight, 0)
    for (const [name, weight] of entries) {
      left -= weight
      if (left < 0) return name
    }
    return (entries.at(-1) as [N, number])[0]
  }
}
