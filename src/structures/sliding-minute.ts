/**
 * Counts by bucket over the last minute. Pure: the caller passes the time.
 *
 *     │ 5 s │ 5 s │ ... │ 5 s │ now: twelve slots in a ring
 *       ▲ the oldest is subtracted from the window, and used again
 *
 * So the window covers the last 55 to 60 s. An addition takes constant time, and a new slot one pass over its buckets.
 */
import { BUCKETS } from './duration-buckets.ts'

const SLOTS = 12
/** ms. */
const SLOT = 5_000

/** Figures about the durations of the window, in ms. */
export interface Totals {
  readonly count: number
  readonly sum: number
  readonly max: number
}

export class SlidingMinute {
  /** By slot and bucket. */
  readonly #counts = new Uint32Array(SLOTS * BUCKETS)
  /** By bucket: the sum of the slots. */
  readonly #window = new Float64Array(BUCKETS)
  readonly #sizes = new Float64Array(SLOTS)
  readonly #sums = new Float64Array(SLOTS)
  readonly #maxima = new Float64Array(SLOTS)
  /** The current slot, counted from the start of the clock; its place in the ring; and when it ends. */
  #current = Number.NEGATIVE_INFINITY
  #place = 0
  #endsAt = Number.NEGATIVE_INFINITY

  /** @param duration ms. @param now ms on a clock; if that goes back, the addition counts as now. */
  add(bucket: number, duration: number, times: number, now: number): void {
    if (now >= this.#endsAt) this.#advance(now)
    const place = this.#place
    const index = place * BUCKETS + bucket
    this.#counts[index] = (this.#counts[index] as number) + times
    this.#window[bucket] = (this.#window[bucket] as number) + times
    this.#sizes[place] = (this.#sizes[place] as number) + times
    this.#sums[place] = (this.#sums[place] as number) + duration * times
    if (duration > (this.#maxima[place] as number)) this.#maxima[place] = duration
  }

  /** By bucket. The array changes with the next call. */
  counts(now: number): Float64Array {
    if (now >= this.#endsAt) this.#advance(now)
    return this.#window
  }

  /** Of the same window as the last `counts`. */
  totals(): Totals {
    let [count, sum, max] = [0, 0, 0]
    for (let slot = 0; slot < SLOTS; slot += 1) {
      count += this.#sizes[slot] as number
      sum += this.#sums[slot] as number
      max = Math.max(max, this.#maxima[slot] as number)
    }
    return { count, sum, max }
  }

  #advance(now: number): void {
    const target = Math.floor(now / SLOT)
    for (let next = Math.max(this.#current, target - SLOTS) + 1; next <= target; next += 1) this.#clear(placeOf(next))
    this.#current = target
    this.#place = placeOf(target)
    this.#endsAt = (target + 1) * SLOT
  }

  #clear(slot: number): void {
    if (this.#sizes[slot] === 0) return
    const start = slot * BUCKETS
    for (let bucket = 0; bucket < BUCKETS; bucket += 1) {
      this.#window[bucket] = (this.#window[bucket] as number) - (this.#counts[start + bucket] as number)
    }
    this.#counts.fill(0, start, start + BUCKETS)
    this.#sizes[slot] = 0
    this.#sums[slot] = 0
    this.#maxima[slot] = 0
  }
}

/** A clock may have started before zero. */
function placeOf(slot: number): number {
  return ((slot % SLOTS) + SLOTS) % SLOTS
}
