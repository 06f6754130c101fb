/** Lease: the handle that users get. It knows its record and asks the manager; it decides nothing. */
import { LeaseUpgradeError } from '../errors.ts'
import type { LeaseState } from '../rules/lease-state.ts'
import type { Joint, JointMode } from '../rules/sharing.ts'
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

/** How a lease ended: its owner released or detached it, it was lost, or `close()` of its manager released it. */
export type LeaseEnd = 'released' | 'lost' | 'closed'

/** What a handle knows of its lease. The manager knows the rest. */
export interface LeaseFacts {
  readonly key: string
  readonly token: string
  readonly fence: number
  /** ms. */
  readonly ttl: number
  /** Given if others may hold the key as well. */
  readonly joint: Joint | undefined
}

/** What a handle needs from its manager. */
export interface LeasePort<Record extends LeaseFacts = LeaseFacts> {
  /** The state of the lease now. If its deadline has passed unnoticed, the lease is lost before this returns. */
  observe(record: Record): LeaseState
  /** ms until the deadline. */
  remaining(record: Record): number
  signal(record: Record): AbortSignal
  ended(record: Record): Promise<LeaseEnd>
  renew(record: Record): Promise<void>
  release(record: Record): Promise<boolean>
  detach(record: Record): DetachedLease
  downgrade(record: Record): Promise<void>
}

/** What `LeaseManager.adopt` needs to take over a lease, in this process or another. Plain data, which may be sent anywhere. */
export interface DetachedLease {
  readonly key: string
  readonly token: string
  readonly fence: number
  /** ms. */
  readonly ttl: number
  /** Of a permit, a reader or a writer: what `acquire` was asked for. */
  readonly joint?: Joint | undefined
}

/**
 * An acquired lock, until it is released or lost. Every event of the lease carries this same object. After its end the
 * lease stays readable and does nothing any more.
 */
export class Lease {
  readonly #record: LeaseFacts
  readonly #port: LeasePort

  static {
    showInLogs(this.prototype, 'Lease')
  }

  /** Only the manager makes leases. @internal */
  constructor(record: LeaseFacts, port: LeasePort) {
    this.#record = record
    this.#port = port
  }

  /** The key, without the manager's prefix. */
  get key(): string {
    return this.#record.key
  }

  /** What the key contains: the manager's `owner`, a colon, and 22 unguessable characters. Each acquisition has its own token. */
  get token(): string {
    return this.#record.token
  }

  /**
   * The fencing token, a safe integer: larger for every later holder of this key, whatever happened in between. A store can
   * keep the largest fence it has seen and refuse smaller ones. That protects it from a paused holder that does not know it
   * lost the lock. (Martin Kleppmann, "How to do distributed locking", 2016.)
   */
  get fence(): number {
    return this.#record.fence
  }

  /** Time to live of the key, in ms. */
  get ttl(): number {
    return this.#record.ttl
  }

  /** How the lease holds its key if others may hold that as well; undefined for a plain lock. */
  get joint(): Joint | undefined {
    return this.#record.joint
  }

  /** The mode of that: `permit`, `read` or `write`. */
  get mode(): JointMode | undefined {
    return this.#record.joint?.mode
  }

  /** Whether the lock is held, computed from the clock at each read: `false` from the deadline on, for ever. */
  get held(): boolean {
    const state = this.#port.observe(this.#record)
    return state === 'held' || state === 'jeopardy'
  }

  /** ms until the lease ends by its deadline or by `maxHold`, whichever is first; 0 once it is not held. Confirmed renewals extend the deadline. */
  get remaining(): number {
    return this.held ? this.#port.remaining(this.#record) : 0
  }

  /** The state of the lease, computed like `held`. */
  get state(): LeaseState {
    return this.#port.observe(this.#record)
  }

  /**
   * Aborts when the work under the lock has to stop; a later read returns an aborted signal. Pass it to the calls of that work. The reason
   * is a `LeaseLostError` if the lease is lost, and a `ManagerClosedError` if `close()` releases it. `release()` and `detach()` abort it
   * only while `using` runs work under the lease, with a `LockNotHeldError`.
   */
  get signal(): AbortSignal {
    return this.#port.signal(this.#record)
  }

  /**
   * Resolves at the end of the lease: to `released` if its owner released or detached it, `lost`, or `closed` if `close()` of the manager
   * released it. Never rejects. The promise is created on the first read.
   */
  get ended(): Promise<LeaseEnd> {
    return this.#port.ended(this.#record)
  }

  /**
   * Renews now, or joins a renewal under way, and resolves once that is confirmed. Needed only with `autoRenew: false`;
   * otherwise it also renews the leases of the same batch now.
   *
   * @throws LockNotHeldError if the lease is not held, or turns out to be lost; the loss is its `cause`.
   * @throws UnavailableError if the backend did not answer within `timeout`: the lease is held until its deadline, and
   * another attempt may succeed.
   */
  renew(): Promise<void> {
    return this.#port.renew(this.#record)
  }

  /**
   * Gives the lock back. `held` is `false` from the call on. Never throws, and settles within `timeout`.
   *
   * @returns `true` if the backend confirmed that it deleted our key; `false` if the lock was no longer ours, or if the backend
   * did not answer. In the last case the manager deletes the key in the background, or the key expires.
   */
  release(): Promise<boolean> {
    return this.#port.release(this.#record)
  }

  /**
   * Ends the lease here and leaves its key as it is. Another process can take it over: pass the result to `adopt`. Unless one adopts it, the
   * key expires a ttl after its last renewal. `held` is `false` from the call on.
   *
   * @throws LockNotHeldError if the lease is not held; a loss is its `cause`.
   */
  detach(): DetachedLease {
    return this.#port.detach(this.#record)
  }

  /**
   * Makes a reader of a writer, so that other readers come in. No writer comes in between, and the fence stays.
   *
   * @throws LockNotHeldError if the lease is not held, or turns out to be lost. UnavailableError if the backend did not answer within `timeout`: the next
   * renewal then does it. TypeError if the lease is no writer and no reader.
   */
  downgrade(): Promise<void> {
    return this.#port.downgrade(this.#record)
  }

  /**
   * Refused, always: two readers that both waited to become the writer would wait for each other. Release the lease, and acquire the key with
   * `mode: 'write'`; what you have read may have changed meanwhile.
   *
   * @throws LeaseUpgradeError.
   */
  upgrade(): Promise<never> {
    return Promise.reject(new LeaseUpgradeError(this.key))
  }

  /** What a log shows of the lease. To send a lease elsewhere see `detach()`. */
  toJSON(): LeaseSummary {
    const { key, state, fence, ttl, remaining } = this
    return { key, state, fence, ttl, remaining: Math.round(remaining) }
  }

  /** `release()`, for `await using`. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.release()
  }
}
