/** leasewheel, with nothing set but the ttl: it renews at a third of it by itself. */
import type { Cluster, Redis } from 'ioredis'
import { type Lease, LeaseManager, type LeaseManagerOptions } from 'leasewheel'
import { quorum } from 'leasewheel/quorum'
import { connectTo, membersOf } from '../connect-to.ts'
import type { Held, Holder, Library, OnLost } from '../library.ts'

export class LeasewheelHolder implements Holder {
  readonly #clients: readonly (Redis | Cluster)[]
  protected readonly leases: LeaseManager
  /** What an application keeps as well: the handles. */
  #handles: readonly Lease[] = []
  #lost = 0

  constructor(url: string, ttl: number, onLost?: OnLost, options: LeaseManagerOptions = {}) {
    this.#clients = membersOf(url).map(connectTo)
    const [first] = this.#clients as [Redis | Cluster]
    // The servers of the bench have just been started, and have nothing to forget.
    const connection = this.#clients.length === 1 ? first : quorum(this.#clients, { restartDelay: 0 })
    this.leases = new LeaseManager(connection, { ttl, ...options })
    this.leases.on('lost', ({ lease }) => {
      this.#lost++
      onLost?.(lease.key)
    })
  }

  async acquireAll(keys: readonly string[]): Promise<void> {
    const outcomes = await this.leases.acquireMany(keys)
    this.#handles = outcomes.filter((lease) => lease !== null)
    if (this.#handles.length < keys.length) throw new Error(`${keys.length - this.#handles.length} locks were refused`)
  }

  async releaseAll(): Promise<void> {
    await Promise.all(this.#handles.map((lease) => lease.release()))
    this.#handles = []
  }

  take(key: string): Promise<Held> {
    return this.leases.acquire(key)
  }

  acquire(key: string): Promise<Held> {
    return this.leases.acquire(key, { wait: Number.POSITIVE_INFINITY })
  }

  held(): number {
    return this.#handles.filter((lease) => lease.held).length
  }

  lost(): number {
    return this.#lost
  }

  tell(): { readonly timers: number; readonly lag: number } {
    const { timers, renewalLag } = this.leases.stats()
    return { timers, lag: renewalLag.max }
  }

  async close(): Promise<void> {
    await this.leases.close()
    for (const client of this.#clients) client.disconnect()
  }
}

export const leasewheelUnwatched: Library = {
  async open(url, ttl, onLost) {
    return new LeasewheelHolder(url, ttl, onLost, { watch: false })
  },
}

export const leasewheelKept: Library = {
  async open(url, ttl, onLost) {
    return new LeasewheelHolder(url, ttl, onLost, { keeper: { maxBlocked: 60_000 } })
  },
}

export const leasewheel: Library = {
  async open(url, ttl, onLost) {
    return new LeasewheelHolder(url, ttl, onLost)
  },
}
