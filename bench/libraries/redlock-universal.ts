/**
 * redlock-universal: its way of holding a lock is `using`. That always extends at 0.8 of the ttl; the function behind
 * it is exported and takes the ratio, so that this library too renews each third of the ttl.
 */
import { Redis } from 'ioredis'
import { createLock, executeWithAutoExtension, IoredisAdapter, type Lock } from 'redlock-universal'
import type { Held, Holder, Library, OnLost } from '../library.ts'
import { HeldByUsing } from './held-by-using.ts'

class RedlockUniversalHolder implements Holder {
  readonly #client: Redis
  readonly #adapter: IoredisAdapter
  readonly #ttl: number
  readonly #locks: HeldByUsing

  constructor(url: string, ttl: number, onLost?: OnLost) {
    this.#client = new Redis(url)
    // A timeout per command, 5 s by default: in a burst the later commands may rightly wait for longer.
    this.#adapter = new IoredisAdapter(this.#client, { timeout: ttl })
    this.#ttl = ttl
    this.#locks = new HeldByUsing(async (key, routine) => {
      const lock = this.#createLock(key)
      const handle = await lock.acquire()
      await executeWithAutoExtension({
        locks: [lock],
        handles: [handle],
        ttl,
        routine,
        extensionThresholdRatio: 2 / 3,
        // 1,000 ms by default, and when a third of the ttl is less, it extends without a pause.
        minExtensionInterval: Math.min(1_000, Math.round(ttl / 10)),
      })
    }, onLost)
  }

  acquireAll(keys: readonly string[]): Promise<void> {
    return this.#locks.acquireAll(keys)
  }

  releaseAll(): Promise<void> {
    return this.#locks.releaseAll()
  }

  async take(key: string): Promise<Held> {
    const lock = this.#createLock(key)
    const handle = await lock.acquire()
    return { release: () => lock.release(handle) }
  }

  async acquire(key: string): Promise<Held> {
    const lock = this.#createLock(key, { retryAttempts: Number.MAX_SAFE_INTEGER })
    const handle = await lock.acquire()
    return { release: () => lock.release(handle) }
  }

  /** `lean`: by its documentation the mode with the least memory and the least overhead. */
  #createLock(key: string, options: { readonly retryAttempts?: number } = {}): Lock {
    return createLock({ adapter: this.#adapter, key, ttl: this.#ttl, performance: 'lean', ...options })
  }

  held(): number {
    return this.#locks.held
  }

  lost(): number {
    return this.#locks.lost
  }

  async close(): Promise<void> {
    await this.#locks.releaseAll()
    this.#client.disconnect()
  }
}

export const redlockUniversal: Library = {
  async open(url, ttl, onLost) {
    return new RedlockUniversalHolder(url, ttl, onLost)
  },
}
