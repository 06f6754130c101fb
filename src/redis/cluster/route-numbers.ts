/**
 * The route of each node: a small number, by the address at which we reach the node. A node keeps its number as long as it is known. The number of
 * one that has left for good is given to another, so that years of new addresses need no more numbers than there are nodes. Pure.
 */
export class RouteNumbers {
  readonly #byName = new Map<string, number>()
  #next = 0
  /** Numbers below `#next` that nobody has. */
  readonly #free: number[] = []

  of(name: string): number {
    const present = this.#byName.get(name)
    if (present !== undefined) return present
    const number = this.#free.shift() ?? this.#count()
    this.#byName.set(name, number)
    return number
  }

  /** The node is gone. */
  forget(name: string): void {
    const number = this.#byName.get(name)
    if (number === undefined) return
    this.#byName.delete(name)
    this.#free.push(number)
  }

  #count(): number {
    this.#next += 1
    return this.#next - 1
  }
}
