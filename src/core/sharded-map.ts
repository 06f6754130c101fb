/**
 * A map from strings that never stops to grow as a whole: many small maps instead of one large one, because a `Map` copies itself
 * each time it doubles, and with a million entries that keeps the event loop for tens of milliseconds. Pure; may import nothing.
 */

/** A power of two: with a million entries each shard has some 16,000, and copies itself in less than a millisecond. */
const SHARDS = 64
/** How many characters of a key say in which shard it is, at most: spread over its length, as it is not known which of them vary. */
const SAMPLES = 8

export class ShardedMap<V> {
  readonly #shards = Array.from({ length: SHARDS }, () => new Map<string, V>())
  #size = 0

  get size(): number {
    return this.#size
  }

  get(key: string): V | undefined {
    return this.#shardOf(key).get(key)
  }

  set(key: string, value: V): void {
    const shard = this.#shardOf(key)
    const before = shard.size
    shard.set(key, value)
    this.#size += shard.size - before
  }

  delete(key: string): void {
    if (this.#shardOf(key).delete(key)) this.#size -= 1
  }

  /** All values, in no particular order; entries may come and go meanwhile. */
  *values(): Generator<V, undefined> {
    for (const shard of this.#shards) yield* shard.values()
  }

  #shardOf(key: string): Map<string, V> {
    let hash = key.length
    const stride = Math.ceil(key.length / SAMPLES)
    for (let index = key.length - 1; index >= 0; index -= stride) hash = (hash * 31 + key.charCodeAt(index)) | 0
    return this.#shards[(hash ^ (hash >>> 12)) & (SHARDS - 1)] as Map<string, V>
  }
}
