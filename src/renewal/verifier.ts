/**
 * Looks after held leases whose keys may have been changed by somebody else: asks at once, in batches, and only a
 * definite answer ends one.
 *
 * Somebody may have shortened a ttl and left our token, so a lease is verified by renewing its key, which also has it watched again. Its
 * deadline is left alone: that is its cohort's. But a server that has run out of room for watched keys calls others changed for each one it is
 * made to remember, so what was verified a moment ago is only looked at; and so is what its owner renews by hand.
 */
import type { ChangeOutcome } from '../backend.ts'
import type { Clock } from '../time/clock.ts'
import type { LeaseRecord } from '../lease/lease-record.ts'
import type { LeaseTable } from '../lease/lease-table.ts'
import type { Dispatch } from '../requests/dispatch.ts'

export interface VerifierParts {
  readonly clock: Clock
  readonly table: LeaseTable
  readonly dispatch: Pick<Dispatch, 'renew' | 'verify'>
}

/** How long ago "a moment ago" is, in ms. */
const MOMENT = 10_000

export class Verifier {
  readonly #parts: VerifierParts
  /** Questions under way, by lease, and whether another change was hinted at meanwhile: the answer may be older. */
  readonly #pending = new WeakMap<LeaseRecord, { stale: boolean }>()
  /** When a lease was last renewed here. */
  readonly #renewedAt = new WeakMap<LeaseRecord, number>()

  constructor(parts: VerifierParts) {
    this.#parts = parts
  }

  /** The key of a lease may have been changed. */
  verify(record: LeaseRecord): void {
    const pending = this.#pending.get(record)
    if (pending) pending.stale = true
    else this.#ask(record)
  }

  /** The key of a lease may have been changed, though most likely it was not: the key is only looked at. */
  look(record: LeaseRecord): void {
    if (!this.#pending.has(record)) this.#ask(record, true)
  }

  #ask(record: LeaseRecord, onlyLook = false): void {
    const { clock, dispatch } = this.#parts
    const { key, token, ttl, timeout } = record
    this.#pending.set(record, { stale: false })
    const settle = (outcome: ChangeOutcome): void => this.#settle(record, outcome)
    const request = {
      key,
      token,
      ttl,
      timeout,
      settle,
      settleLate: (outcome: ChangeOutcome): void => this.#refuse(record, outcome),
      // Nothing is renewed after its end (P12).
      get wanted() {
        return record.cohort !== undefined
      },
    }
    const now = clock.now()
    const recently = now < (this.#renewedAt.get(record) ?? Number.NEGATIVE_INFINITY) + MOMENT
    if (onlyLook || recently || !record.cohort?.terms.autoRenew) {
      dispatch.verify(request)
      return
    }
    this.#renewedAt.set(record, now)
    dispatch.renew(request)
  }

  #settle(record: LeaseRecord, outcome: ChangeOutcome): void {
    const stale = this.#pending.get(record)?.stale
    this.#pending.delete(record)
    // What was not answered is found out by the next renewal.
    this.#refuse(record, outcome)
    if (stale && outcome.type === 'done' && record.cohort) {
      this.#ask(record)
    }
  }

  /** However late it comes, a definite refusal is one: no key that was not ours has come back since (P18). */
  #refuse(record: LeaseRecord, outcome: ChangeOutcome): void {
    if (outcome.type !== 'refused') return
    const { table, clock } = this.#parts
    table.apply(record, { type: 'refused', now: clock.now(), reason: outcome.reason })
  }
}
