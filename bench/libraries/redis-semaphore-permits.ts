/** redis-semaphore: one `Semaphore` per permit, which renews itself with an interval of its own. */
import type { Redis } from 'ioredis'
import { Semaphore } from 'redis-semaphore'
import { connectTo } from '../connect-to.ts'
import { inParallel } from '../in-parallel.ts'
import type { Held, Holder, Library } from '../library.ts'
import { keyOfPermit, PERMITS } from '../permits-per-key.ts'

class RedisSemaphorePermits implements Holder {
  readonly #client: Redis
  readonly #ttl: number
  #semaphores: Semaphore[] = []
  #lost = 0
  readonly #countLoss = (): void => {
    this.#lost++
  }

  constructor(url: string, ttl: number) {
    this.#client = connectTo(url) as Redis
    this.#ttl = ttl
  }

  async acquireAll(keys: readonly string[]): Promise<void> {
    const indices = keys.map((_, index) => index)
    await inParallel(indices, async (index) => {
      this.#semaphores.push(await this.#acquire(keyOfPermit(keys, index)))
    })
  }

  async releaseAll(): Promise<void> {
    await inParallel(this.#semaphores, (semaphore) => semaphore.release())
    this.#semaphores = []
  }

  take(key: string): Promise<Held> {
    return this.#acquire(key)
  }

  acquire(key: string): Promise<Held> {
    return this.#acquire(key)
  }

  async #acquire(key: string): Promise<Semaphore> {
    const semaphore = new Semaphore(this.#client, key, PERMITS, {
      lockTimeout: this.#ttl,
      refreshInterval: Math.round(this.#ttl / 3),
      acquireTimeout: Number.POSITIVE_INFINITY,
      onLockLost: this.#countLoss,
    })
    await semaphore.acquire()
    return semaphore
  }

  held(): number {
    return this.#semaphores.filter(({ isAcquired }) => isAcquired).length
  }

  lost(): number {
    return this.#lost
  }

  async close(): Promise<void> {
    await this.releaseAll()
    this.#client.disconnect()
  }
}

export const redisSemaphorePermits: Library = {
  async open(url, ttl) {
    return new RedisSemaphorePermits(url, ttl)
  },
}
