/** redlock 5: its way of holding a lock is `using`, which extends the lock for as long as a routine runs. */
import type { Cluster, Redis } from 'ioredis'
import Redlock from 'redlock'
import { connectTo, membersOf } from '../connect-to.ts'
import type { Held, Holder, Library, OnLost } from '../library.ts'
import { HeldByUsing } from './held-by-using.ts'

/** redlock's own default; said here because the threshold depends on it. */
const DRIFT_FACTOR = 0.01

/**
 * `using` extends when no more than this is left of what redlock counts as the lock's life: ttl - drift. At two thirds
 * of the ttl less that drift it extends each third of the ttl, as the others do. (By default it is 500 ms, a renewal
 * every 29 s of a ttl of 30 s: fewer of them, each at the same cost, and no second chance when one fails.)
 */
function extensionThreshold(ttl: number): number {
  const drift = Math.round(ttl * DRIFT_FACTOR) + 2
  return ttl - drift - Math.round(ttl / 3)
}

class RedlockHolder implements Holder {
  readonly #clients: readonly (Redis | Cluster)[]
  readonly #redlock: Redlock
  readonly #ttl: number
  readonly #locks: HeldByUsing

  constructor(url: string, ttl: number, onLost?: OnLost) {
    this.#clients = membersOf(url).map(connectTo)
    this.#ttl = ttl
    this.#redlock = new Redlock(this.#clients, {
      driftFactor: DRIFT_FACTOR,
      automaticExtensionThreshold: extensionThreshold(ttl),
    })
    this.#locks = new HeldByUsing((key, routine) => this.#redlock.using([key], ttl, routine), onLost)
  }

  acquireAll(keys: readonly string[]): Promise<void> {
    return this.#locks.acquireAll(keys)
  }

  releaseAll(): Promise<void> {
    return this.#locks.releaseAll()
  }

  take(key: string): Promise<Held> {
    return this.#redlock.acquire([key], this.#ttl)
  }

  acquire(key: string): Promise<Held> {
    // -1: as often as it takes.
    return this.#redlock.acquire([key], this.#ttl, { retryCount: -1 })
  }

  held(): number {
    return this.#locks.held
  }

  lost(): number {
    return this.#locks.lost
  }

  async close(): Promise<void> {
    await this.#locks.releaseAll()
    for (const client of this.#clients) client.disconnect()
  }
}

export const redlock: Library = {
  async open(url, ttl, onLost) {
    return new RedlockHolder(url, ttl, onLost)
  },
}
