/**
 * Keys with a time to live, in this process: what a server is to `RedisBackend`. Several backends may share one. May import
 * the clock.
 */
import { type Clock, SystemClock } from '../clock.ts'

interface Value {
  readonly token: string
  expiresAt: number
}

export interface MemoryStoreOptions {
  /** The store's own time. Default: the machine's clock. */
  readonly clock?: Pick<Clock, 'now'>
}

/** Its methods are also how a test plays the part of somebody else. */
export class MemoryStore {
  readonly #clock: Pick<Clock, 'now'>
  readonly #values = new Map<string, Value>()
  #fence = 0

  constructor(options: MemoryStoreOptions = {}) {
    this.#clock = options.clock ?? new SystemClock()
  }

  /** The token on a key; `undefined` when it is free. */
  get(key: string): string | undefined {
    return this.#live(key)?.token
  }

  /** What is left of a key's ttl in ms; `undefined` when it is free. */
  remaining(key: string): number | undefined {
    const value = this.#live(key)
    return value && value.expiresAt - this.#clock.now()
  }

  /** Writes a key, whoever holds it. */
  set(key: string, token: string, ttl: number): void {
    this.#values.set(key, { token, expiresAt: this.#clock.now() + ttl })
  }

  /** Gives a key a whole ttl again. */
  extend(key: string, ttl: number): void {
    const value = this.#live(key)
    if (value) value.expiresAt = this.#clock.now() + ttl
  }

  /** Deletes a key, whoever holds it. */
  delete(key: string): boolean {
    return this.#live(key) !== undefined && this.#values.delete(key)
  }

  /** The keys that are held. */
  keys(): string[] {
    return [...this.#values.keys()].filter((key) => this.#live(key) !== undefined)
  }

  /** Deletes everything, the fence counter included: the time keeps fences growing. */
  clear(): void {
    this.#values.clear()
    this.#fence = 0
  }

  /** The next fence: larger than all before, and than the time in µs. */
  nextFence(): number {
    this.#fence = Math.max(this.#fence + 1, Math.floor(this.#clock.now() * 1_000))
    return this.#fence
  }

  #live(key: string): Value | undefined {
    const value = this.#values.get(key)
    if (value === undefined || this.#clock.now() < value.expiresAt) return value
    this.#values.delete(key)
    return undefined
  }
}
