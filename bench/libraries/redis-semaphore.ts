/**
 * redis-semaphore: one `Mutex` per lock, which renews itself with an interval of its own. Its default interval is 0.8
 * of the ttl; a third of it here, as with the others.
 */
import type { Redis } from 'ioredis'
import { Mutex } from 'redis-semaphore'
import { connectTo } from '../connect-to.ts'
import { inParallel } from '../in-parallel.ts'
import type { Held, Holder, Library, OnLost } from '../library.ts'

class RedisSemaphoreHolder implements Holder {
  readonly #client: Redis
  readonly #ttl: number
  readonly #onLost: OnLost | undefined
  /** What an application keeps: the handles. */
  #mutexes: Mutex[] = []
  #lost = 0
  // One function for all, so that counting costs no memory per lock.
  readonly #countLoss = (): void => {
    this.#lost++
  }

  constructor(url: string, ttl: number, onLost?: OnLost) {
    this.#client = connectTo(url)
    this.#ttl = ttl
    this.#onLost = onLost
  }

  async acquireAll(keys: readonly string[]): Promise<void> {
    const refreshInterval = Math.round(this.#ttl / 3)
    await inParallel(keys, async (key) => {
      const mutex = new Mutex(this.#client, key, {
        lockTimeout: this.#ttl,
        refreshInterval,
        onLockLost: this.#onLockLost(key),
      })
      await mutex.acquire()
      this.#mutexes.push(mutex)
    })
  }

  /** What the library tells of a loss does not have the key. */
  #onLockLost(key: string): () => void {
    const onLost = this.#onLost
    if (onLost === undefined) return this.#countLoss
    return () => {
      this.#countLoss()
      onLost(key)
    }
  }

  async releaseAll(): Promise<void> {
    await inParallel(this.#mutexes, (mutex) => mutex.release())
    this.#mutexes = []
  }

  async take(key: string): Promise<Held> {
    const mutex = new Mutex(this.#client, key, { lockTimeout: this.#ttl })
    await mutex.acquire()
    return mutex
  }

  async acquire(key: string): Promise<Held> {
    const mutex = new Mutex(this.#client, key, {
      lockTimeout: this.#ttl,
      acquireTimeout: Number.POSITIVE_INFINITY,
      onLockLost: this.#countLoss,
    })
    await mutex.acquire()
    return mutex
  }

  held(): number {
    return this.#mutexes.filter((mutex) => mutex.isAcquired).length
  }

  lost(): number {
    return this.#lost
  }

  async close(): Promise<void> {
    await this.releaseAll()
    this.#client.disconnect()
  }
}

export const redisSemaphore: Library = {
  async open(url, ttl, onLost) {
    return new RedisSemaphoreHolder(url, ttl, onLost)
  },
}
