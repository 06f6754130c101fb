/**
 * When a change of a key that a member reports is worth telling: once so many members may have changed that a holder may have lost its majority, or that
 * a majority may be free. Pure. Members are bits of a mask.
 *
 * Nothing is kept for a key that no member has reported, and on which all members agree.
 */

/** What is known of a key. */
interface Known {
  /** Members that have reported a change. */
  changed: number
  /** Members that did not have the token of the holder when they were last asked. */
  without: number
  /** The change was told, and nobody has asked since. */
  told: boolean
}

/** Beyond this many keys, each change is told at once. */
const LIMIT = 100_000

export class KeyHints {
  readonly #all: number
  readonly #threshold: number
  readonly #known = new Map<string, Known>()

  /** @param size how many members there are. @param threshold how many of them must have changed. */
  constructor(size: number, threshold: number) {
    this.#all = 2 ** size - 1
    this.#threshold = threshold
  }

  get size(): number {
    return this.#known.size
  }

  /** A member reports a change. @param silent members that report none. @returns whether to tell it. */
  onChange(key: string, member: number, silent: number): boolean {
    let known = this.#known.get(key)
    if (known === undefined) {
      if (this.#known.size >= LIMIT) return true
      known = { changed: 0, without: 0, told: false }
      this.#known.set(key, known)
    }
    known.changed |= 2 ** member
    return this.#judge(key, known, silent)
  }

  /** Members are about to be asked for a key. @param watches those that report its next change from now on. */
  onAsked(key: string, watches: number): void {
    const known = this.#known.get(key)
    if (known === undefined) return
    known.told = false
    known.changed &= ~watches
    known.without &= ~watches
    if (known.changed === 0 && known.without === 0) this.#known.delete(key)
  }

  /** They have answered. @param without those on which the key does not have the token that counts. @returns whether a change came meanwhile that is to be told. */
  onAnswered(key: string, without: number, silent: number): boolean {
    let known = this.#known.get(key)
    if (known === undefined) {
      if (without === 0 || this.#known.size >= LIMIT) return false
      known = { changed: 0, without: 0, told: false }
      this.#known.set(key, known)
    }
    known.without = without
    return known.changed !== 0 && this.#judge(key, known, silent)
  }

  /** A member does not have the token that counts. @returns as `onAnswered`. */
  onLacks(key: string, member: number, silent: number): boolean {
    return this.onAnswered(key, (this.#known.get(key)?.without ?? 0) | (2 ** member), silent)
  }

  /** Nobody here wants to know any more. */
  forget(key: string): void {
    if (this.#known.size > 0) this.#known.delete(key)
  }

  clear(): void {
    this.#known.clear()
  }

  #judge(key: string, known: Known, silent: number): boolean {
    const possible = known.changed | known.without | silent
    if (countOf(possible) < this.#threshold) return false
    const news = !known.told
    known.told = true
    if ((possible & this.#all) === this.#all) this.#known.delete(key)
    return news
  }
}

function countOf(mask: number): number {
  let count = 0
  for (let rest = mask; rest !== 0; rest &= rest - 1) count += 1
  return count
}
