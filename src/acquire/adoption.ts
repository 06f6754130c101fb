/**
 * Takes over a lease that was detached elsewhere. A renewal proves that the key still holds its token; from then on it is
 * a lease of this manager.
 */
import type { AbortWatch, Cancellable } from './abort-watch.ts'
import type { Granting } from './granting.ts'
import type { Backend, ChangeOutcome } from '../backend.ts'
import { checkJoint } from './failures.ts'
import { isActive } from '../rules/lease-state.ts'
import { LeaseLostError, LockNotHeldError, UnavailableError } from '../errors.ts'
import type { DetachedLease } from '../lease/lease.ts'
import type { Joint } from '../rules/sharing.ts'
import { LeaseRecord } from '../lease/lease-record.ts'
import type { LeaseTable } from '../lease/lease-table.ts'
import { notHeld } from '../lease/record-facts.ts'
import type { AdoptSettings } from '../options/settings.ts'
import type { Dispatch } from '../requests/dispatch.ts'
import type { Request } from '../requests/batch.ts'
import { within } from '../requests/within.ts'
import type { Clock } from '../time/clock.ts'
import type { Alarms } from '../time/scheduler.ts'

export interface AdoptionParts {
  readonly clock: Pick<Clock, 'now'>
  readonly scheduler: Alarms
  /** Why the server of a key may not answer, if that is known. */
  readonly faultOf: (key: string) => Error | undefined
  readonly table: LeaseTable
  readonly aborts: AbortWatch
  readonly backend: Pick<Backend, 'joints'>
  readonly dispatch: Pick<Dispatch, 'renew'>
  readonly granting: Granting
  /** A cancelled adoption may have renewed a key. The server does not notify a manager of its own changes. */
  readonly onChangedHere: (key: string) => void
}

export class Adoptions {
  readonly #parts: AdoptionParts
  /** By key: one at a time, because a batch carries a key at most once. */
  readonly #pending = new Map<string, Adoption>()
  /** Why further adoptions are refused, once they are. */
  #reasonFor: ((key: string) => unknown) | undefined

  constructor(parts: AdoptionParts) {
    this.#parts = parts
  }

  /** @throws LockNotHeldError, UnavailableError, or the reason of an abort. */
  async run(lease: DetachedLease, settings: AdoptSettings): Promise<LeaseRecord> {
    const { aborts, backend, clock } = this.#parts
    checkJoint(backend, lease.joint)
    const until = clock.now() + settings.timeout
    let { timeout } = settings
    for (let other = this.#pending.get(lease.key); other; other = this.#pending.get(lease.key)) {
      await aborts.race(settings.signal, this.#over(other, timeout))
      timeout = Math.max(Math.ceil(until - clock.now()), 1)
    }
    if (this.#reasonFor) throw this.#reasonFor(lease.key)
    const adoption = new Adoption(this.#parts, lease, { ...settings, timeout })
    this.#pending.set(lease.key, adoption)
    try {
      return await adoption.run()
    } finally {
      this.#pending.delete(lease.key)
    }
  }

  /** Another adoption of the key is over. Whoever waits for it has a timeout of its own. @throws UnavailableError after that, in ms. */
  async #over({ key, over }: Adoption, timeout: number): Promise<void> {
    try {
      await within(
        this.#parts.scheduler,
        timeout,
        () => over,
        () => this.#parts.faultOf(key),
      )
    } catch (error) {
      throw notAdopted(key, error as Error)
    }
  }

  /** The key may have changed; without a key, any may have. */
  hint(key?: string): void {
    if (key !== undefined) this.#pending.get(key)?.hint()
    else for (const adoption of this.#pending.values()) adoption.hint()
  }

  /** Cancels all adoptions, and refuses later ones. */
  cancelAll(reasonFor: (key: string) => unknown): void {
    this.#reasonFor = reasonFor
    for (const adoption of this.#pending.values()) adoption.cancel(reasonFor(adoption.key))
  }
}

class Adoption implements Request<ChangeOutcome>, Cancellable {
  readonly key: string
  readonly token: string
  /** ms. */
  readonly ttl: number
  /** ms. */
  readonly timeout: number
  readonly joint: Joint | undefined
  readonly #parts: AdoptionParts
  readonly #fence: number
  readonly #settings: AdoptSettings
  #resolve: ((record: LeaseRecord) => void) | undefined
  #reject: ((error: unknown) => void) | undefined
  /** A hint came while the answer was on its way: the answer may be older. */
  #stale = false
  /** Settles when it is over, however it ends. */
  over: Promise<unknown> = Promise.resolve()

  constructor(parts: AdoptionParts, { key, token, fence, ttl, joint }: DetachedLease, settings: AdoptSettings) {
    this.key = key
    this.token = token
    this.ttl = ttl
    this.joint = joint
    this.timeout = settings.timeout
    this.#parts = parts
    this.#fence = fence
    this.#settings = settings
  }

  get wanted(): boolean {
    return this.#reject !== undefined
  }

  async run(): Promise<LeaseRecord> {
    const { aborts, dispatch } = this.#parts
    const { signal } = this.#settings
    const answer = new Promise<LeaseRecord>((resolve, reject) => {
      this.#resolve = resolve
      this.#reject = reject
    })
    this.over = answer.catch(() => undefined)
    if (signal) aborts.add(signal, this)
    // If the signal is aborted already, the dispatch drops this request before sending it.
    dispatch.renew(this)
    try {
      return await answer
    } finally {
      if (signal) aborts.remove(signal, this)
    }
  }

  hint(): void {
    this.#stale = true
  }

  cancel(reason: unknown): void {
    this.#reject?.(reason)
    this.#reject = undefined
  }

  settle(outcome: ChangeOutcome, sentAt: number | undefined): void {
    const reject = this.#reject
    // From here on it cannot be cancelled: a listener of `acquired` may try to.
    this.#reject = undefined
    if (reject) {
      let record: LeaseRecord | undefined
      try {
        record = this.#conclude(outcome, sentAt)
      } catch (error) {
        reject(error)
      }
      if (record) {
        this.#resolve?.(record)
        return
      }
    }
    // No caller has the lease: the key expires, or another adopts it.
    if (outcome.type !== 'refused' && sentAt !== undefined) this.#parts.onChangedHere(this.key)
  }

  #conclude(outcome: ChangeOutcome, sentAt = Number.NEGATIVE_INFINITY): LeaseRecord {
    switch (outcome.type) {
      case 'done':
        return this.#take(sentAt)
      case 'refused': {
        const cause = new LeaseLostError(this.key, outcome.reason)
        throw new LockNotHeldError(this.key, 'lost', { cause })
      }
      case 'unknown':
        throw notAdopted(this.key, outcome.error)
      default:
        return outcome satisfies never
    }
  }

  #take(sentAt: number): LeaseRecord {
    const { table, granting } = this.#parts
    // Deletes nothing: the key may be adopted once more.
    if (granting.isLate(sentAt, this.ttl)) throw notAdopted(this.key, TOO_LATE)
    for (const present of this.joint ? table.records.jointsOf(this.key) : [table.get(this.key)]) {
      if (present?.token === this.token && isActive(table.observe(present))) return present
    }
    const record = new LeaseRecord(this.key, this.token, this)
    const settings = { ...this.#settings, ttl: this.ttl, joint: this.joint }
    const granted = granting.make(record, { fence: this.#fence, sentAt, settings }, this.#stale, undefined)
    if (granted !== 'held') throw notHeld(record)
    return record
  }
}

function notAdopted(key: string, cause: Error): UnavailableError {
  return new UnavailableError(`Lock \`${key}\` could not be adopted: ${cause.message}`, key, { cause })
}

const TOO_LATE = new UnavailableError('The confirmation came after the deadline of the lease')
