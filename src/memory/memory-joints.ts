/** What a `MemoryBackend` does with keys that several may hold: the same as the scripts of a server. */
import type { AcquireOutcome, ChangeOutcome, LockEntry, JointView } from '../backend.ts'
import {
  acquireJoint,
  releaseJoint,
  renewJoint,
  type Joint,
  type JointRequest,
  type Sharing,
} from '../rules/sharing.ts'
import type { MemoryStore, StoreWatcher } from './memory-store.ts'

const DONE = { type: 'done' } as const
const MISSING = { type: 'refused', reason: 'missing' } as const
const TAKEN = { type: 'refused', reason: 'taken' } as const

export class MemoryJoints {
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
    const { sharing, refusal } = acquireJoint(before, requestOf(entry), store.now)
    if (sharing.version !== before?.version) store.joint(name, sharing, this.#watcher)
    return refusal ? { type: 'refused', watched, ...refusal } : { type: 'granted', fence: store.nextFence() }
  }

  renew(name: string, entry: LockEntry): ChangeOutcome {
    const renewed = renewJoint(this.#store.sharing(name), requestOf(entry), this.#store.now)
    if (renewed === undefined) return this.#notOurs(name)
    this.#store.joint(name, renewed, this.#watcher)
    return DONE
  }

  release(name: string, { token }: LockEntry): ChangeOutcome {
    const released = releaseJoint(this.#store.sharing(name), token, this.#store.now)
    if (released === undefined) return this.#notOurs(name)
    this.#store.joint(name, released.sharing, this.#watcher)
    return DONE
  }

  verify(name: string, { token }: LockEntry): ChangeOutcome {
    return this.#store.sharing(name)?.holders.has(token) ? DONE : this.#notOurs(name)
  }

  #notOurs(name: string): ChangeOutcome {
    return this.#store.get(name) ? TAKEN : MISSING
  }
}

export function jointViewOf({ mode, holders }: Sharing, now: number): JointView {
  return {
    mode,
    holders: Array.from(holders, ([token, { weight, until }]) => ({ token, weight, remaining: until - now })),
  }
}

function requestOf({ token, ttl, joint, turn }: LockEntry): JointRequest {
  return { token, ttl, turn, joint: joint as Joint }
}
