/** leasewheel, with so many permits of each key. */
import type { Redis } from 'ioredis'
import { type Lease, LeaseManager } from 'leasewheel'
import { connectTo } from '../connect-to.ts'
import { inParallel } from '../in-parallel.ts'
import type { Held, Holder, Library } from '../library.ts'
import { keyOfPermit, PERMITS } from '../permits-per-key.ts'

class LeasewheelPermits implements Holder {
  readonly #client: Redis
  readonly #leases: LeaseManager
  #handles: Lease[] = []
  #lost = 0

  constructor(url: string, ttl: number) {
    this.#client = connectTo(url) as Redis
    this.#leases = new LeaseManager(this.#client, { ttl })
    this.#leases.on('lost', () => {
      this.#lost++
    })
  }

  async acquireAll(keys: readonly string[]): Promise<void> {
    const indices = keys.map((_, index) => index)
    await inParallel(indices, async (index) => {
      this.#handles.push(await this.#leases.acquire(keyOfPermit(keys, index), { permits: PERMITS }))
    })
  }

  async releaseAll(): Promise<void> {
    await Promise.all(this.#handles.map((lease) => lease.release()))
    this.#handles = []
  }

  take(key: string): Promise<Held> {
    return this.#leases.acquire(key, { permits: PERMITS })
  }

  acquire(key: string): Promise<Held> {
    return this.#leases.acquire(key, { permits: PERMITS, wait: Number.POSITIVE_INFINITY })
  }

  held(): number {
    return this.#handles.filter((lease) => lease.held).length
  }

  lost(): number {
    return this.#lost
  }

  tell(): { readonly timers: number; readonly lag: number } {
    const { timers, renewalLag } = this.#leases.stats()
    return { timers, lag: renewalLag.max }
  }

  async close(): Promise<void> {
    await this.#leases.close()
    this.#client.disconnect()
  }
}

export const leasewheelPermits: Library = {
  async open(url, ttl) {
    return new LeasewheelPermits(url, ttl)
  },
}
