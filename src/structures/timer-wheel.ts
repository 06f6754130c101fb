/**
 * A single-level timing wheel over typed arrays. Pure: the caller passes the time, and the wheel never calls back.
 *
 * Varghese & Lauck, "Hashed and Hierarchical Timing Wheels" (SOSP 1987), scheme 4, with a bitmap of occupied slots.
 *
 *     tick      41      42      43      44      45   …    (now = 42 · tick)
 *     slot   ┌───────┬───────┬───────┬───────┬───────┐
 *     first  │   ·   │   ·   │   7   │   ·   │   2   │   entries of one slot: a doubly linked list through
 *            └───────┴───────┴─│─────┴───────┴─│─────┘   `#next` and `#previous`, so that scheduling, moving
 *                              ▼               ▼         and cancelling are all O(1)
 *                              3 ──▶ 12        9
 *     occupied   0       0     1       0       1         one bit a slot: the next occupied one is found 32 at a time
 *
 * - The first `advance(now)` with `now >= floor(due / tick) · tick` returns an entry: at most one tick early, and never late.
 *   If a tick was handed out already, an entry scheduled for it waits for the next one. So the wheel returns an entry at most
 *   once per tick, whatever its owner does: it cannot drive a hot loop.
 * - An entry due beyond the wheel's horizon (`tick · slots` ms) waits in the last slot, and is placed again when that comes
 *   round. It costs one visit per horizon.
 * - Cost: O(1) per schedule, reschedule and cancel; `advance` costs O(returned + occupied slots passed).
 *
 * Units are those of the caller; ms throughout this project.
 */

/** No entry, no slot. */
const NONE = -1
const INITIAL_CAPACITY = 64

export interface TimerWheelOptions {
  /** Width of a slot, in ms: an integer >= 1. Default 10. */
  readonly tick?: number
  /** Number of slots: a power of two, at least 32. Default 4096; with the default tick a horizon of 41 s. */
  readonly slots?: number
}

export class TimerWheel<T> {
  readonly #tick: number
  readonly #mask: number
  readonly #first: Int32Array
  readonly #occupied: Uint32Array

  #next = new Int32Array(INITIAL_CAPACITY)
  #previous = new Int32Array(INITIAL_CAPACITY)
  /** The slot of an entry, or NONE while it is idle (handed out, or never scheduled). */
  #slot = new Int32Array(INITIAL_CAPACITY)
  #due = new Float64Array(INITIAL_CAPACITY)
  #items: (T | undefined)[] = []
  /** Head of the list of unused ids, linked through `#next`. */
  #free = NONE
  /** Registered entries, waiting or idle. */
  #registered = 0
  /** Entries in a slot. */
  #size = 0
  /** The last tick that was handed out. */
  #current: number

  /** @param now the start time of the wheel, in ms. */
  constructor(now: number, options: TimerWheelOptions = {}) {
    const { tick = 10, slots = 4096 } = options
    // Whole numbers only: n * 0.1 / 0.1 is not always n, and the wheel would wait for a slot that it never reaches.
    if (!Number.isInteger(tick) || tick < 1) {
      throw new RangeError(`Expected \`tick\` to be an integer >= 1 (ms), got \`${tick}\``)
    }
    if (!Number.isInteger(slots) || slots < 32 || (slots & (slots - 1)) !== 0) {
      throw new RangeError(`Expected \`slots\` to be a power of two >= 32, got \`${slots}\``)
    }
    this.#tick = tick
    this.#mask = slots - 1
    this.#first = new Int32Array(slots).fill(NONE)
    this.#occupied = new Uint32Array(slots >>> 5)
    this.#current = Math.floor(now / tick)
  }

  /** Width of a slot, in ms. */
  get tick(): number {
    return this.#tick
  }

  /** Number of entries waiting for their time. */
  get size(): number {
    return this.#size
  }

  /** Registers `item` without scheduling it. The id is valid until `remove`. */
  add(item: T): number {
    let id = this.#free
    if (id === NONE) {
      id = this.#items.length
      if (id === this.#next.length) this.#resize(id * 2)
      this.#items.push(item)
    } else {
      this.#free = this.#next[id] as number
      this.#items[id] = item
    }
    this.#slot[id] = NONE
    this.#registered += 1
    return id
  }

  /** Forgets the entry. Another entry may get its id. */
  remove(id: number): void {
    this.#check(id)
    this.#unlink(id)
    this.#items[id] = undefined
    this.#next[id] = this.#free
    this.#free = id
    this.#registered -= 1
    if (this.#registered === 0) this.#reset()
  }

  /** Puts the entry at `due` (ms), wherever it was before. An infinite `due` cancels. */
  schedule(id: number, due: number): void {
    this.#check(id)
    if (due === Number.POSITIVE_INFINITY) {
      this.#unlink(id)
      return
    }
    if (Number.isNaN(due)) throw new RangeError('Expected `due` to be a time in ms, got `NaN`')
    this.#due[id] = due
    const slot = this.#slotFor(due)
    if (slot === this.#slot[id]) return
    this.#unlink(id)
    this.#link(id, slot)
  }

  /** The time the entry was last scheduled for (ms). */
  dueOf(id: number): number {
    this.#check(id)
    return this.#due[id] as number
  }

  /** Whether the entry waits in a slot. */
  isScheduled(id: number): boolean {
    this.#check(id)
    return this.#slot[id] !== NONE
  }

  /** Takes the entry out of the wheel, keeping its id. Cancelling an idle entry does nothing. */
  cancel(id: number): void {
    this.#check(id)
    this.#unlink(id)
  }

  /** Takes out all items due at `now`, earlier slots first. Each is idle afterwards, and may be scheduled again. */
  advance(now: number): T[] {
    const due: T[] = []
    const target = Math.floor(now / this.#tick)
    if (target <= this.#current) return due
    const last = Math.min(target, this.#current + this.#mask + 1)
    let tick = this.#current + 1
    // From here on an entry is placed again behind `target`. This call may pass its slot again, but finds it not due.
    this.#current = target
    while (this.#size > 0) {
      tick = this.#nextOccupied(tick)
      if (tick > last) break
      this.#empty(tick & this.#mask, target, due)
      tick += 1
      if (tick > last) break
    }
    return due
  }

  /** When `advance` next has an entry to handle (ms); `undefined` if the wheel is empty. */
  nextDue(): number | undefined {
    return this.#size === 0 ? undefined : this.#nextOccupied(this.#current + 1) * this.#tick
  }

  #empty(slot: number, target: number, due: T[]): void {
    let id = this.#first[slot] as number
    this.#first[slot] = NONE
    this.#setOccupied(slot, false)
    while (id !== NONE) {
      const next = this.#next[id] as number
      this.#slot[id] = NONE
      this.#size -= 1
      const time = this.#due[id] as number
      if (Math.floor(time / this.#tick) <= target) due.push(this.#items[id] as T)
      else this.#link(id, this.#slotFor(time))
      id = next
    }
  }

  #slotFor(due: number): number {
    const earliest = this.#current + 1
    const tick = Math.min(Math.max(Math.floor(due / this.#tick), earliest), earliest + this.#mask)
    return tick & this.#mask
  }

  #link(id: number, slot: number): void {
    const head = this.#first[slot] as number
    this.#next[id] = head
    this.#previous[id] = NONE
    if (head !== NONE) this.#previous[head] = id
    else this.#setOccupied(slot, true)
    this.#first[slot] = id
    this.#slot[id] = slot
    this.#size += 1
  }

  #unlink(id: number): void {
    const slot = this.#slot[id] as number
    if (slot === NONE) return
    const next = this.#next[id] as number
    const previous = this.#previous[id] as number
    if (next !== NONE) this.#previous[next] = previous
    if (previous !== NONE) {
      this.#next[previous] = next
    } else {
      this.#first[slot] = next
      if (next === NONE) this.#setOccupied(slot, false)
    }
    this.#slot[id] = NONE
    this.#size -= 1
  }

  #setOccupied(slot: number, occupied: boolean): void {
    const word = slot >>> 5
    const bit = 1 << (slot & 31)
    const before = this.#occupied[word] as number
    this.#occupied[word] = occupied ? before | bit : before & ~bit
  }

  /** The first occupied tick at or after `from`. The wheel must not be empty. */
  #nextOccupied(from: number): number {
    const start = from & this.#mask
    let word = start >>> 5
    let bits = (this.#occupied[word] as number) & (-1 << (start & 31))
    while (bits === 0) {
      word = (word + 1) & (this.#occupied.length - 1)
      bits = this.#occupied[word] as number
    }
    const slot = (word << 5) + (31 - Math.clz32(bits & -bits))
    return from + ((slot - start) & this.#mask)
  }

  #check(id: number): void {
    if (this.#items[id] === undefined) throw new RangeError(`Expected the id of an entry of this wheel, got \`${id}\``)
  }

  /** Frees memory once no entry is registered. */
  #reset(): void {
    this.#items = []
    this.#free = NONE
    if (this.#next.length > INITIAL_CAPACITY) this.#resize(INITIAL_CAPACITY)
  }

  #resize(capacity: number): void {
    this.#next = resized(this.#next, new Int32Array(capacity))
    this.#previous = resized(this.#previous, new Int32Array(capacity))
    this.#slot = resized(this.#slot, new Int32Array(capacity))
    this.#due = resized(this.#due, new Float64Array(capacity))
  }
}

function resized<A extends Int32Array | Float64Array>(from: A, to: A): A {
  to.set(from.length > to.length ? from.subarray(0, to.length) : from)
  return to
}
