/** Keys that a process wants to hold whenever it can: see `LeaseManager.claim`. */
import type { Lease } from '../lease/lease.ts'
import { showInLogs } from '../show-in-logs.ts'
import { Announcer } from './announcer.ts'
import { type ClaimEnd, Pursuit, type PursuitSettings } from './pursuit.ts'
import type { StandingPort } from './standing.ts'
import type { Tenure } from './tenure.ts'

/** A key is held from now on. If a listener returns a promise, that is the work under the key: see `LostClaimEvent`. */
export interface GainedEvent {
  readonly lease: Lease
  /** Aborts when the work under this key has to stop: before the event `lost`, whatever the reason. */
  readonly signal: AbortSignal
}

/**
 * The work under a key has to stop. If the reason is `moved` or `closed`, the lease is still held: it is released once the promises of all
 * listeners have settled, those of `gained` included, and after `drain` ms at the latest. Otherwise the lock is gone already, and the key is
 * asked for again once they have settled.
 */
export interface LostClaimEvent {
  readonly lease: Lease
  readonly reason: ClaimEnd
}

export interface ClaimEvents {
  gained: GainedEvent
  lost: LostClaimEvent
}

/** Standing claims on some keys. */
export class Claim extends Announcer<ClaimEvents> implements Iterable<Lease> {
  readonly #port: StandingPort
  readonly #pursuit: Pursuit
  readonly #total: number
  #closing: Promise<void> | undefined

  static {
    showInLogs(this.prototype, 'Claim')
  }

  /** Only the manager makes claims. @internal */
  constructor(port: StandingPort, keys: readonly string[], settings: PursuitSettings) {
    super(port.report)
    this.#port = port
    this.#pursuit = new Pursuit(port, settings, {
      onGained: (tenure) => this.announce('gained', tenure, () => gainedBy(tenure)),
      onLost: (tenure, reason) => this.announce('lost', tenure, () => ({ lease: tenure.lease, reason })),
      onChanged: () => undefined,
    })
    this.#pursuit.want(keys)
    this.#total = new Set(keys).size
  }

  /** How many of the keys are held. */
  get size(): number {
    return this.#pursuit.held
  }

  /** The lease on a key, if it is held. */
  get(key: string): Lease | undefined {
    return this.#pursuit.get(key)
  }

  /** The leases that are held. */
  [Symbol.iterator](): Iterator<Lease> {
    return this.#pursuit.leases()
  }

  /** Ends all claims: see `LostClaimEvent`. Resolves once every key was released. Idempotent. */
  close(): Promise<void> {
    return this.#close()
  }

  /** @internal */
  onManagerClosing(reason: Error): Promise<void> {
    return this.#close(reason)
  }

  /** What a log shows of the claim. */
  toJSON(): { readonly held: number; readonly claimed: number } {
    return { held: this.size, claimed: this.#closing ? 0 : this.#total }
  }

  /** `close()`, for `await using`. */
  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }

  #close(error?: Error): Promise<void> {
    this.#closing ??= this.#pursuit.close(error).then(() => this.#port.onClosed(this))
    return this.#closing
  }
}

/** The event of a key that was acquired. Its signal is created on the first read. */
export function gainedBy(tenure: Tenure): GainedEvent {
  return {
    lease: tenure.lease,
    get signal() {
      return tenure.signal
    },
  }
}
