/**
 * redis-semaphore: one `Mutex` per lock, on a quorum a `RedlockMutex`, which renews itself with an interval of its own. Its default interval is 0.8
 * of the ttl; a third of it here, as with the others.
 */
import type { Cluster, Redis } from 'ioredis'
import { type LockOptions, Mutex, RedlockMutex } from 'redis-semaphore'
import { connectTo, membersOf } from '../connect-to.ts'
import { inParallel } from '../in-parallel.ts'
import type { Held, Holder, Library, OnLost } from '../library.ts'

class RedisSemaphoreHolder implements Holder {
  readonly #clients: readonly (Redis | Cluster)[]
  readonly #ttl: number
  readonly #onLost: OnLost | undefined
  /** What an application keeps: the handles. */
  #mutexes: (Mutex | RedlockMutex)[] = []
  #lost = 0
  // One function for all, so that counting costs no memory per lock.
  readonly #countLoss = (): void => {
    this.#lost++
  }

  constructor(url: string, ttl: number, onLost?: OnLost) {
    this.#clients = membersOf(url).map(connectTo)
    this.#ttl = ttl
    this.#onLost = onLost
  }

  async acquireAll(keys: readonly string[]): Promise<void> {
    const refreshInterval = Math.round(this.#ttl / 3)
    await inParallel(keys, async (key) => {
      const mutex = this.#make(key, {
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
    const mutex = this.#make(key, { lockTimeout: this.#ttl })
    await mutex.acquire()
    return mutex
  }

  async acquire(key: string): Promise<Held> {
    const mutex = this.#make(key, {
      lockTimeout: this.#ttl,
      acquireTimeout: Number.POSITIVE_INFINITY,
      onLockLost: this.#countLoss,
    })
    await mutex.acquire()
    return mutex
  }

  #make(key: string, options: LockOptions): Mutex | RedlockMutex {
    const [first] = this.#clients as [Redis | Cluster]
    if (this.#clients.length === 1) return new Mutex(first, key, options)
    return new RedlockMutex([...this.#clients], key, options)
  }

  held(): number {
    return this.#mutexes.filter((mutex) => mutex.isAcquired).length
  }

  lost(): number {
    return this.#lost
  }

  async close(): Promise<void> {
    await this.releaseAll()
    for (const client of this.#clients) client.disconnect()
  }
}

export const redisSemaphore: Library = {
  async open(url, ttl, onLost) {
    return new RedisSemaphoreHolder(url, ttl, onLost)
  },
}
