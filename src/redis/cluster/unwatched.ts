/**
 * Keys that should be watched, and are not: a call redirected by ASK cannot make the server watch, because ASKING and CLIENT CACHING YES cancel each
 * other. By slot. Pure.
 */
import type { LockEntry } from '../../backend.ts'

export class Unwatched {
  readonly #keys = new Map<number, Set<string>>()

  /** How many slots have such keys. */
  get size(): number {
    return this.#keys.size
  }

  /** The keys were read behind ASKING. */
  add(slot: number, entries: readonly LockEntry[]): void {
    const keys = this.#keys.get(slot) ?? new Set()
    this.#keys.set(slot, keys)
    for (const { key } of entries) keys.add(key)
  }

  /** The node that serves the slot watches the keys now. */
  remove(slot: number, entries: readonly LockEntry[]): void {
    if (this.#keys.size === 0) return
    const keys = this.#keys.get(slot)
    if (keys === undefined) return
    for (const { key } of entries) keys.delete(key)
    if (keys.size === 0) this.#keys.delete(slot)
  }

  /** The slot has moved. @returns its keys that nobody watches. */
  take(slot: number): readonly string[] {
    const keys = this.#keys.get(slot)
    this.#keys.delete(slot)
    return keys === undefined ? [] : [...keys]
  }
}
