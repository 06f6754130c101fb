/** What a `MemoryBackend` does with keys that several may hold: the same as the scripts of a server. */
import type { AcquireOutcome, ChangeOutcome, LockEntry, SharedView } from '../backend.ts'
import {
  acquireShare,
  releaseShare,
  renewShare,
  type Share,
  type ShareRequest,
  type Sharing,
} from '../rules/sharing.ts'
import type { MemoryStore, StoreWatcher } from './memory-store.ts'

const DONE = { type: 'done' } as const
const MISSING = { type: 'refused', reason: 'missing' } as const
const TAKEN = { type: 'refused', reason: 'taken' } as const

export class MemoryShares {
  readonly #store: MemoryStore
  readonly #watcher: StoreWatcher

  /** @param watcher is not notified of the changes that are made here. */
  constructor(store: MemoryStore, watcher: StoreWatcher) {
    this.#store = store
    this.#watcher = watcher
  }

  /** @param watched whether the next change of a refused key will be reported. */
  acquire(name: string, entry: LockEntry, watched: boolean): AcquireOutcome {
    const store = this.#store
    const before = store.sharing(name)
    const holder = store.get(name)
    if (before === undefined && holder !== undefined) {
      return { type: 'refused', remaining: store.remaining(name) ?? 0, holder, watched, version: 0, turn: 0 }
    }
    const { sharing, refusal } = acquireShare(before, requestOf(entry), store.now)
    if (sharing.version !== before?.version) store.share(name, sharing, this.#watcher)
    return refusal ? { type: 'refused', watched, ...refusal } : { type: 'granted', fence: store.nextFence() }
  }

  renew(name: string, entry: LockEntry): ChangeOutcome {
    const renewed = renewShare(this.#store.sharing(name), requestOf(entry), this.#store.now)
    if (renewed === undefined) return this.#notOurs(name)
    this.#store.share(name, renewed, this.#watcher)
    return DONE
  }

  release(name: string, { token }: LockEntry): ChangeOutcome {
    const released = releaseShare(this.#store.sharing(name), token, this.#store.now)
    if (released === undefined) return this.#notOurs(name)
    this.#store.share(name, released.sharing, this.#watcher)
    return DONE
  }

  verify(name: string, { token }: LockEntry): ChangeOutcome {
    return this.#store.sharing(name)?.holders.has(token) ? DONE : this.#notOurs(name)
  }

  #notOurs(name: string): ChangeOutcome {
    return this.#store.get(name) ? TAKEN : MISSING
  }
}

export function sharedViewOf({ mode, holders }: Sharing, now: number): SharedView {
  return {
    mode,
    holders: Array.from(holders, ([token, { weight, until }]) => ({ token, weight, remaining: until - now })),
  }
}

function requestOf({ token, ttl, share, turn }: LockEntry): ShareRequest {
  return { token, ttl, turn, share: share as Share }
}
