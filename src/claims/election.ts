/**
 * One of several candidates leads: the one that holds the lock.
 *
 *     standing ──acquired──▶ leading ──lost──▶ stopping ──its work has ended──▶ standing
 *         ▲                     └──resigned, failed──▶ stopping ──its work has ended, or the drain is over──▶ released ─┐
 *         └───────────────────────────────────────────── a rest, in which others can be elected ◀───────────────────────┘
 *
 * The signal of a term aborts before anybody is told that the term is over. A candidate stands again only after the work of its last term has
 * ended: the same process never leads twice at once.
 */
import { LockNotHeldError } from '../errors.ts'
import type { Lease } from '../lease/lease.ts'
import type { LockInspection } from '../lease/lock-inspection.ts'
import type { AcquireSettings } from '../options/settings.ts'
import type { LossReason } from '../rules/lease-state.ts'
import { showInLogs } from '../show-in-logs.ts'
import { nextTurn } from '../time/clock.ts'
import { Pause } from '../waiting/pause.ts'
import { drained } from './drain.ts'
import { Setbacks } from './setbacks.ts'
import type { Follower, StandingPort } from './standing.ts'
import { Tenure } from './tenure.ts'

/** ms for which a candidate that resigned leaves the office to others. */
const REST = 1_000

/** What a leader gets for its term. */
export interface Term {
  /** The fence of the lock: larger in each later term. */
  readonly fence: number
  /** Aborts when the term is over: at its loss, its resignation, and when the election or the manager is closed. */
  readonly signal: AbortSignal
  readonly lease: Lease
}

/**
 * Why a term is over: the lock was lost, the leader resigned (`resign()`, or the lease was released by hand), `elected` threw or rejected, or the
 * election or its manager was closed.
 */
export type TermEnd = LossReason | 'resigned' | 'failed' | 'closed'

export interface ElectionSettings extends AcquireSettings {
  readonly elected: (term: Term) => unknown
  readonly deposed: ((reason: TermEnd) => unknown) | undefined
  /** ms. */
  readonly drain: number
}

/** One term. */
class Reign implements Follower {
  readonly tenure: Tenure
  /** Resolves when the term is over: its signal has aborted. */
  readonly over: Promise<void>
  /** Resolves when the lock has been given back, or is known to be lost. */
  readonly left: Promise<void>
  reason: TermEnd | undefined
  #onOver: () => void = () => undefined
  #onLeft: () => void = () => undefined
  readonly #deposed: (reign: Reign) => void

  constructor(lease: Lease, deposed: (reign: Reign) => void) {
    this.tenure = new Tenure(lease)
    this.#deposed = deposed
    this.over = new Promise((resolve) => (this.#onOver = resolve))
    this.left = new Promise((resolve) => (this.#onLeft = resolve))
  }

  onEnded(reason: LossReason | 'released', error: Error): void {
    this.end(reason === 'released' ? 'resigned' : reason, error)
  }

  end(reason: TermEnd, error: Error): void {
    if (this.tenure.over) return
    this.reason = reason
    // First of all: the work must stop, whatever others do who learn of it.
    this.tenure.end(error)
    this.#deposed(this)
    this.#onOver()
  }

  leave(): void {
    this.#onLeft()
  }
}

/** A candidate in an election: see `LeaseManager.elect`. */
export class Election {
  readonly key: string
  readonly #port: StandingPort
  readonly #settings: ElectionSettings
  readonly #setbacks: Setbacks
  readonly #rest: Pause
  readonly #standing = new AbortController()
  readonly #onClosing: Promise<void>
  #reign: Reign | undefined
  readonly #ended: Promise<void>

  static {
    showInLogs(this.prototype, 'Election')
  }

  /** Only the manager makes elections. @internal */
  constructor(port: StandingPort, key: string, settings: ElectionSettings) {
    this.key = key
    this.#port = port
    this.#settings = settings
    this.#setbacks = new Setbacks(port)
    this.#rest = new Pause(port.scheduler)
    this.#onClosing = new Promise((resolve) => {
      this.#standing.signal.addEventListener('abort', () => resolve(), { once: true })
    })
    this.#ended = this.#run()
  }

  /** Whether this candidate leads, computed from the clock at each read. */
  get isLeader(): boolean {
    const tenure = this.#reign?.tenure
    return tenure !== undefined && !tenure.over && tenure.lease.held
  }

  /** The lease of the present term; undefined if this candidate does not lead. */
  get lease(): Lease | undefined {
    return this.isLeader ? this.#reign?.tenure.lease : undefined
  }

  /**
   * Asks the backend who leads. `owner` says which process, and `lease` is set if it is this manager.
   *
   * @returns `null` if nobody does.
   * @throws UnavailableError if the backend did not answer within `timeout`.
   */
  leader(): Promise<LockInspection | null> {
    return this.#port.inspect(this.key)
  }

  /**
   * Gives the office back, if this candidate has it. The signal of the term aborts at once. The lock is released once the promises of `elected`
   * and `deposed` have settled, after `drain` ms at the latest. The candidate stands again a second later.
   *
   * @returns once the lock was released. Do not await it inside `elected`: it would wait for that until the drain is over.
   */
  async resign(): Promise<void> {
    this.#reign?.end('resigned', this.#givenBack())
    await this.#reign?.left
  }

  /** Resigns, and stands no more. Resolves once the lock was released. Idempotent. */
  close(): Promise<void> {
    return this.#close(this.#givenBack())
  }

  /** @internal */
  onManagerClosing(reason: Error): Promise<void> {
    return this.#close(reason)
  }

  /** What a log shows of the election. */
  toJSON(): { readonly key: string; readonly isLeader: boolean; readonly fence: number | undefined } {
    const { key, isLeader, lease } = this
    return { key, isLeader, fence: lease?.fence }
  }

  /** `close()`, for `await using`. */
  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }

  #close(reason: Error): Promise<void> {
    if (!this.#closed) {
      this.#standing.abort(reason)
      this.#reign?.end('closed', reason)
      this.#rest.end()
      this.#setbacks.end()
    }
    return this.#ended
  }

  get #closed(): boolean {
    return this.#standing.signal.aborted
  }

  async #run(): Promise<void> {
    // The caller has the election before its first term begins.
    await nextTurn(this.#port.clock)
    while (!this.#closed) {
      const lease = await this.#stand()
      if (lease) await this.#lead(lease)
    }
    this.#port.onClosed(this)
  }

  async #stand(): Promise<Lease | undefined> {
    try {
      const lease = await this.#port.waitFor(this.key, { ...this.#settings, signal: this.#standing.signal })
      this.#setbacks.onSuccess()
      return lease
    } catch (error) {
      if (!this.#closed) await this.#setbacks.rest(error)
      return undefined
    }
  }

  async #lead(lease: Lease): Promise<void> {
    const port = this.#port
    const { elected, deposed, drain } = this.#settings
    if (this.#closed) {
      await lease.release()
      return
    }
    // The process may have been stopped since the grant.
    if (!lease.held) return
    const reign = new Reign(lease, ({ reason }) => {
      if (deposed) reign.tenure.run(() => deposed(reason as TermEnd), port.report)
    })
    const { tenure } = reign
    this.#reign = reign
    port.follow(lease, reign)
    const term: Term = { fence: lease.fence, signal: tenure.signal, lease }
    tenure.run(
      () => elected(term),
      (fault) => {
        port.report(fault)
        reign.end('failed', this.#givenBack())
      },
    )
    await reign.over
    await this.#leave(reign, drain)
  }

  async #leave(reign: Reign, drain: number): Promise<void> {
    const { tenure, reason } = reign
    const { lease } = tenure
    const { scheduler, unfollow } = this.#port
    if (lease.held) {
      // A closing manager whose own drain is over releases the lock itself.
      await Promise.race([drained(tenure, drain, scheduler), lease.ended])
      unfollow(lease)
      await lease.release()
    }
    reign.leave()
    this.#reign = undefined
    // Work that does not listen to its signal keeps this candidate from office, and no other.
    await Promise.race([tenure.settled(), this.#onClosing])
    if (!this.#closed && (reason === 'resigned' || reason === 'failed')) await this.#rest.rest(REST)
  }

  #givenBack(): Error {
    return new LockNotHeldError(this.key, 'being given back')
  }
}
