/** Lease: the handle that users hold. It knows its record and asks the manager; it decides nothing. */
import type { LeaseState } from '../rules/lease-state.ts'
import { showInLogs } from '../show-in-logs.ts'

/** What a log shows of a lease: not its token, which is a secret. */
export interface LeaseSummary {
  readonly key: string
  readonly state: LeaseState
  readonly fence: number
  /** ms. */
  readonly ttl: number
  /** ms, a whole number. */
  readonly remaining: number
}

/** How a lease ended: given back by its owner or given away, lost, or given back because its manager was closed. */
export type LeaseEnd = 'released' | 'lost' | 'closed'

/** What a handle knows of its lease; its manager has the rest. */
export interface LeaseFacts {
  readonly key: string
  readonly token: string
  readonly fence: number
  /** ms. */
  readonly ttl: number
}

/** What a handle needs of its manager. */
export interface LeasePort<Record extends LeaseFacts = LeaseFacts> {
  /** The state of the lease now: where its deadline has passed unnoticed, it is lost by the time this returns. */
  observe(record: Record): LeaseState
  /** ms until the deadline. */
  remaining(record: Record): number
  signal(record: Record): AbortSignal
  ended(record: Record): Promise<LeaseEnd>
  renew(record: Record): Promise<void>
  release(record: Record): Promise<boolean>
  detach(record: Record): DetachedLease
}

/** What `LeaseManager.adopt` needs to go on with a lease, in this process or another. Plain data, which may be sent anywhere. */
export interface DetachedLease {
  readonly key: string
  readonly token: string
  readonly fence: number
  /** ms. */
  readonly ttl: number
}

/**
 * A lock that was acquired, from then until it is released or lost. The same object stands for it in every event.
 * After its end it stays readable and does nothing any more.
 */
export class Lease {
  readonly #record: LeaseFacts
  readonly #port: LeasePort

  static {
    showInLogs(this.prototype, 'Lease')
  }

  /** Only the manager makes one. @internal */
  constructor(record: LeaseFacts, port: LeasePort) {
    this.#record = record
    this.#port = port
  }

  /** The key, without the manager's prefix. */
  get key(): string {
    return this.#record.key
  }

  /** What is written on the key: the manager's `owner`, a colon, and 22 characters that cannot be guessed, one token per acquisition. */
  get token(): string {
    return this.#record.token
  }

  /**
   * The fencing token: larger for every later holder of this key, whatever happened in between. A store that keeps the largest
   * one it has seen, and refuses smaller ones, is safe from a holder that was paused and does not know it lost the lock.
   * (Martin Kleppmann, "How to do distributed locking", 2016.) A safe integer.
   */
  get fence(): number {
    return this.#record.fence
  }

  /** Time to live of the key, in ms. */
  get ttl(): number {
    return this.#record.ttl
  }

  /** Whether the lock is held, computed from the clock at this very moment: `false` from the deadline on, for ever. */
  get held(): boolean {
    const state = this.#port.observe(this.#record)
    return state === 'held' || state === 'jeopardy'
  }

  /** ms until the deadline, which every confirmed renewal moves on, or until `maxHold` ends it; 0 once the lease is not held. */
  get remaining(): number {
    return this.held ? this.#port.remaining(this.#record) : 0
  }

  /** Where the lease stands in its life, computed like `held`. */
  get state(): LeaseState {
    return this.#port.observe(this.#record)
  }

  /**
   * Aborted when the work under the lock has to stop; already aborted when it is asked for later than that. Pass it to whatever works
   * under the lock. The reason is a `LeaseLostError` when the lease is lost, and a `ManagerClosedError` when `close()` gives it back.
   * `release()` and `detach()` abort it only while `using` runs work under the lease, with a `LockNotHeldError`.
   */
  get signal(): AbortSignal {
    return this.#port.signal(this.#record)
  }

  /**
   * Resolves to how the lease ended, once it has: `released` by its owner (`detach()` included), `lost`, or `closed` when `close()` of the
   * manager gave it back. Never rejects. Made only when it is asked for.
   */
  get ended(): Promise<LeaseEnd> {
    return this.#port.ended(this.#record)
  }

  /**
   * Renews now, or joins a renewal that is under way, and resolves once it is confirmed. Needed only with `autoRenew: false`;
   * otherwise the leases that are renewed together with this one are renewed now, too.
   *
   * @throws LockNotHeldError when the lease is not held, or turns out to be lost; the loss is its `cause`.
   * @throws UnavailableError when the backend did not answer within `timeout`: the lease is held until its deadline, and
   * another attempt may succeed.
   */
  renew(): Promise<void> {
    return this.#port.renew(this.#record)
  }

  /**
   * Gives the lock back. `held` is `false` from the call on. Never throws, and settles within `timeout`.
   *
   * @returns `true` when the backend confirmed that it deleted our key; `false` when the lock was no longer ours, or when the
   * backend could not be asked: then the key is deleted in the background, or expires.
   */
  release(): Promise<boolean> {
    return this.#port.release(this.#record)
  }

  /**
   * Ends the lease here and leaves its key as it is, so that another process can go on with it: `adopt` takes what this returns. The key
   * expires a ttl after its last renewal unless it is adopted before. `held` is `false` from the call on.
   *
   * @throws LockNotHeldError when the lease is not held; a loss is its `cause`.
   */
  detach(): DetachedLease {
    return this.#port.detach(this.#record)
  }

  /** What a log shows of it. To send a lease elsewhere see `detach()`. */
  toJSON(): LeaseSummary {
    const { key, state, fence, ttl, remaining } = this
    return { key, state, fence, ttl, remaining: Math.round(remaining) }
  }

  /** `release()`, for `await using`. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.release()
  }
}
