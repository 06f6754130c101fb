/**
 * What the locks of a soak protect: a store that keeps the largest fence it has seen for each key and refuses smaller
 * ones. (Martin Kleppmann, "How to do distributed locking", 2016.)
 */
import { machineTime } from './machine-clock.ts'

/** A write that the store accepted. */
export interface AcceptedWrite {
  /** The hold's `id`. */
  readonly hold: string
  readonly key: string
  readonly fence: number
  readonly at: number
}

export class FencedStore {
  /** In the order in which they were accepted. */
  readonly accepted: AcceptedWrite[] = []
  /** How many writes were refused as stale. */
  refused = 0
  readonly #fences = new Map<string, number>()
  readonly #isGullible: boolean

  /** @param isGullible it accepts everything: to show that the checker finds out. */
  constructor(isGullible = false) {
    this.#isGullible = isGullible
  }

  /** @returns whether the write was accepted. */
  write(hold: string, key: string, fence: number): boolean {
    const largest = this.#fences.get(key) ?? 0
    if (fence < largest && !this.#isGullible) {
      this.refused += 1
      return false
    }
    this.#fences.set(key, Math.max(fence, largest))
    this.accepted.push({ hold, key, fence, at: machineTime() })
    return true
  }
}
