/**
 * Which route serves each slot: as the last map said, and since then as MOVED said. Pure.
 *
 * A route is the number of a node: see `RouteNumbers`.
 */
import { SLOTS } from './hash-slot.ts'
import type { SlotRange } from './slots-reply.ts'

/** What a new map changed. */
export interface MapChange {
  /** Slots that have another route than before, by the new one; -1: nobody serves them. */
  readonly moved: ReadonlyMap<number, readonly number[]>
  /** Routes of nodes that serve slots again that nobody served. */
  readonly filled: ReadonlySet<number>
  /** Routes of nodes that took slots over from a node that they had copied, and routes of the latter. */
  readonly promoted: ReadonlySet<number>
  readonly demoted: ReadonlySet<number>
}

const NO_CHANGE: MapChange = { moved: new Map(), filled: new Set(), promoted: new Set(), demoted: new Set() }

export class SlotTable {
  readonly #routes = new Int16Array(SLOTS).fill(-1)
  /** As the last map said. */
  readonly #mapped = new Int16Array(SLOTS).fill(-1)
  /** Slots by route. */
  readonly #counts: number[] = []
  /** By the id of a replica, the route of its master in the last map. */
  #copies = new Map<string, number>()
  /** The last map as a text, unless a slot has moved since. While a node is away a map comes ten times a second, and looking at all slots takes ms. */
  #last: string | undefined
  /** Whether there has been a map. */
  known = false
  /** Whether the last map had slots that nobody serves. */
  hasHoles = false

  /** -1 if nobody is known to serve the slot. */
  routeOf(slot: number): number {
    return this.#routes[slot] ?? -1
  }

  /** As `routeOf`, but as the last map said. */
  mappedTo(slot: number): number {
    return this.#mapped[slot] ?? -1
  }

  /** Whether the route serves any slot. */
  serves(route: number): boolean {
    return (this.#counts[route] ?? 0) > 0
  }

  /** The slots of a route. */
  slotsOf(route: number): number[] {
    const slots: number[] = []
    this.#routes.forEach((other, slot) => {
      if (other === route) slots.push(slot)
    })
    return slots
  }

  /** @returns whether that is news. */
  move(slot: number, route: number): boolean {
    const before = this.routeOf(slot)
    if (before === route) return false
    if (before >= 0) this.#counts[before] = (this.#counts[before] ?? 0) - 1
    if (route >= 0) this.#counts[route] = (this.#counts[route] ?? 0) + 1
    this.#routes[slot] = route
    this.#last = undefined
    return true
  }

  /** @param routeOf the route of a master's address. */
  apply(ranges: readonly SlotRange[], routeOf: (range: SlotRange) => number): MapChange {
    const text = JSON.stringify(ranges.map((range) => [routeOf(range), range]))
    if (text === this.#last) return NO_CHANGE
    const moved = new Map<number, number[]>()
    const filled = new Set<number>()
    const promoted = new Set<number>()
    const demoted = new Set<number>()
    const next = new Int16Array(SLOTS).fill(-1)
    const copies = new Map<string, number>()
    for (const range of ranges) {
      const route = routeOf(range)
      next.fill(route, range.first, range.last + 1)
      for (const { id } of range.replicas) copies.set(id, route)
    }
    const [before, after] = [new Set(this.#mapped), new Set(next)]
    for (const range of ranges) {
      const route = next[range.first] as number
      const copied = this.#copies.get(range.master.id)
      // A node names no replica that has not replicated anything yet. So whoever comes anew in place of one that goes has taken over as well.
      const isHeir = (other: number): boolean =>
        other === copied || (other >= 0 && !before.has(route) && !after.has(other))
      const owners = new Set(this.#mapped.subarray(range.first, range.last + 1))
      owners.delete(route)
      for (const other of [...owners].filter(isHeir)) {
        promoted.add(route)
        demoted.add(other)
      }
    }
    for (let slot = 0; slot < SLOTS; slot += 1) {
      const route = next[slot] as number
      const previous = this.routeOf(slot)
      if (!this.move(slot, route)) continue
      if (previous === -1 && this.known) filled.add(route)
      const slots = moved.get(route)
      if (slots === undefined) moved.set(route, [slot])
      else slots.push(slot)
    }
    this.#mapped.set(next)
    this.hasHoles = next.includes(-1)
    this.#copies = copies
    this.known = true
    this.#last = text
    return { moved, filled, promoted, demoted }
  }
}
