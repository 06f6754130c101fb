/** The other party on the memory backend: it reaches into the store, and makes the backend hang. */
import { setTimeout as sleep } from 'node:timers/promises'
import type { MemoryBackend } from 'leasewheel/memory'
import { OTHER_TOKEN, type OtherParty } from './other-party.ts'

export class MemoryParty implements OtherParty {
  readonly #backend: MemoryBackend

  constructor(backend: MemoryBackend) {
    this.#backend = backend
  }

  async delete(keys: readonly string[]): Promise<number> {
    return keys.filter((key) => this.#backend.store.delete(key)).length
  }

  async replace(keys: readonly string[], ttl: number): Promise<void> {
    for (const key of keys) this.#backend.store.set(key, OTHER_TOKEN, ttl)
  }

  async block(duration: number): Promise<void> {
    this.#backend.block()
    await sleep(duration)
    this.#backend.unblock()
  }

  async find(prefix: string): Promise<ReadonlyMap<string, string>> {
    const { store } = this.#backend
    const keys = store.keys().filter((key) => key.startsWith(prefix))
    return new Map(keys.map((key) => [key, store.get(key) ?? '']))
  }

  async close(): Promise<void> {}
}
