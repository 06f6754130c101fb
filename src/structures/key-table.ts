/**
 * A hash table of values that know their key. Most acquisitions look up a key that is not there. With a million values the table
 * answers that in half of the time of a `Map`; removing takes longer. Pure.
 *
 * A `Map` chains its entries, and compares hashes that are stored in the keys, all over the memory: a miss fetches five places. Here the hashes
 * lie side by side in one array, and a miss looks at some neighbours. The table uses open addressing with linear probing, and a deletion closes
 * the gap instead of leaving a mark. (Donald E. Knuth, The Art of Computer Programming, volume 3, section 6.4, algorithms L and R.)
 *
 * It consists of many small tables, because a table that doubles is copied as a whole. With a million entries one copy would block the event loop
 * for tens of milliseconds.
 */

/** Bits of a hash that select the shard. With a million entries each of the 64 shards has some 16,000, and is copied in less than a millisecond. */
const SHARD_BITS = 6
/** Slots of an empty shard; a power of two. */
const FEWEST_SLOTS = 8
/** The largest fraction of used slots: at three quarters a miss takes eight probes on average. */
const FULLEST = 0.75

interface Keyed {
  readonly key: string
}

export class KeyTable<V extends Keyed> {
  readonly #shards = Array.from({ length: 2 ** SHARD_BITS }, () => new Shard<V>())
  readonly #multiplier: number
  #size = 0

  /** @param seed 0 <= seed < 1. Keys that share a slot under one seed share it under another only by chance. */
  constructor(seed: number) {
    // Odd, so that the multiplication loses no information.
    this.#multiplier = scramble(Math.floor(seed * 2 ** 32) ^ 0x9e37_79b9) | 1
  }

  get size(): number {
    return this.#size
  }

  get(key: string): V | undefined {
    const hash = this.#hashOf(key)
    return this.#shardOf(hash).get(key, hash)
  }

  /** Adds a value, or replaces the one with the same key. @returns the replaced value. */
  set(value: V): V | undefined {
    const hash = this.#hashOf(value.key)
    const before = this.#shardOf(hash).set(value, hash)
    if (before === undefined) this.#size += 1
    return before
  }

  /** Adds a value unless another has the same key. @returns that other value. */
  claim(value: V): V | undefined {
    const hash = this.#hashOf(value.key)
    const present = this.#shardOf(hash).claim(value, hash)
    if (present === undefined) this.#size += 1
    return present
  }

  /** Removes this very value, but not another with the same key. @returns whether it was there. */
  delete(value: V): boolean {
    const hash = this.#hashOf(value.key)
    const deleted = this.#shardOf(hash).delete(value, hash)
    if (deleted) this.#size -= 1
    return deleted
  }

  /** All values, in no particular order. Values may come and go meanwhile; the iterator may still yield some that have gone. */
  *values(): Generator<V, undefined> {
    for (const shard of this.#shards) yield* shard.values()
  }

  #shardOf(hash: number): Shard<V> {
    return this.#shards[hash >>> (32 - SHARD_BITS)] as Shard<V>
  }

  /** Never 0, which stands for an empty slot. */
  #hashOf(key: string): number {
    const multiplier = this.#multiplier
    let hash = key.length
    for (let index = 0; index < key.length; index += 1) {
      hash = Math.imul(hash ^ key.charCodeAt(index), multiplier)
      // A bit of a product depends on lower bits only. Without this, some keys would share a hash under every multiplier.
      hash ^= hash >>> 15
    }
    hash = scramble(hash)
    return hash === 0 ? 1 : hash
  }
}

/** Makes each of 32 bits depend on all the others. (Austin Appleby, the finalizer of MurmurHash3, 2011.) */
function scramble(bits: number): number {
  let mixed = Math.imul(bits ^ (bits >>> 16), 0x85eb_ca6b)
  mixed = Math.imul(mixed ^ (mixed >>> 13), 0xc2b2_ae35)
  return mixed ^ (mixed >>> 16)
}

/** Values in the order of their addition, with holes for removed ones, and a hash table of their positions. */
class Shard<V extends Keyed> {
  /** For each slot a hash, or 0 if it is empty, and an index into the values. */
  #slots = new Int32Array(2 * FEWEST_SLOTS)
  #mask = FEWEST_SLOTS - 1
  #values: (V | undefined)[] = []
  #size = 0

  get(key: string, hash: number): V | undefined {
    const slot = this.#find(key, hash)
    return this.#slots[slot] === 0 ? undefined : this.#values[this.#slots[slot + 1] as number]
  }

  set(value: V, hash: number): V | undefined {
    const slot = this.#find(value.key, hash)
    if (this.#slots[slot] === 0) {
      this.#insert(value, hash, slot)
      return undefined
    }
    const place = this.#slots[slot + 1] as number
    const before = this.#values[place]
    this.#values[place] = value
    return before
  }

  claim(value: V, hash: number): V | undefined {
    const slot = this.#find(value.key, hash)
    if (this.#slots[slot] !== 0) return this.#values[this.#slots[slot + 1] as number]
    this.#insert(value, hash, slot)
    return undefined
  }

  /** @param slot the empty slot for the value. */
  #insert(value: V, hash: number, slot: number): void {
    const room = (this.#mask + 1) * FULLEST
    let place = slot
    if (this.#size >= room || this.#values.length > this.#mask) {
      this.#rebuild(this.#size >= room ? 2 * (this.#mask + 1) : this.#mask + 1)
      place = this.#find(value.key, hash)
    }
    this.#slots[place] = hash
    this.#slots[place + 1] = this.#values.length
    this.#values.push(value)
    this.#size += 1
  }

  delete(value: V, hash: number): boolean {
    const slots = this.#slots
    let gap = this.#find(value.key, hash)
    const place = slots[gap + 1] as number
    if (slots[gap] === 0 || this.#values[place] !== value) return false
    this.#values[place] = undefined
    const end = slots.length - 1
    for (let slot = (gap + 2) & end; slots[slot] !== 0; slot = (slot + 2) & end) {
      // An entry may move into the gap if that lies between its home and its slot.
      const home = ((slots[slot] as number) & this.#mask) * 2
      if (((slot - home) & end) < ((slot - gap) & end)) continue
      slots[gap] = slots[slot] as number
      slots[gap + 1] = slots[slot + 1] as number
      gap = slot
    }
    slots[gap] = 0
    this.#size -= 1
    if (this.#size * 8 < this.#mask && this.#mask >= FEWEST_SLOTS) this.#rebuild((this.#mask + 1) / 2)
    return true
  }

  /** A copy of the values now. */
  values(): V[] {
    return this.#values.filter((value) => value !== undefined)
  }

  /** The slot of a key, or the empty slot for it. */
  #find(key: string, hash: number): number {
    const slots = this.#slots
    const end = slots.length - 1
    let slot = (hash & this.#mask) * 2
    for (;;) {
      const present = slots[slot]
      if (present === 0) return slot
      if (present === hash && this.#values[slots[slot + 1] as number]?.key === key) return slot
      slot = (slot + 2) & end
    }
  }

  /** Rebuilds the shard with another number of slots, and without holes. */
  #rebuild(count: number): void {
    const before = this.#slots
    const slots = new Int32Array(2 * count)
    const placeOf = this.#closeHoles()
    const end = slots.length - 1
    for (let from = 0; from < before.length; from += 2) {
      const hash = before[from] as number
      if (hash === 0) continue
      let slot = (hash & (count - 1)) * 2
      while (slots[slot] !== 0) slot = (slot + 2) & end
      const place = before[from + 1] as number
      slots[slot] = hash
      slots[slot + 1] = placeOf === undefined ? place : (placeOf[place] as number)
    }
    this.#slots = slots
    this.#mask = count - 1
  }

  /** @returns the new position for each old one; undefined if there were no holes. */
  #closeHoles(): Int32Array | undefined {
    if (this.#values.length === this.#size) return undefined
    const placeOf = new Int32Array(this.#values.length)
    const values: (V | undefined)[] = []
    for (const [place, value] of this.#values.entries()) {
      if (value === undefined) continue
      placeOf[place] = values.length
      values.push(value)
    }
    this.#values = values
    return placeOf
  }
}
