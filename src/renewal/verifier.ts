/**
 * Verifies held leases whose keys another may have changed. It asks at once, in batches, and only a definite answer ends a
 * lease.
 *
 * Another may have shortened a ttl and left our token. So the verifier renews the key, which also has the server watch it again; the deadline
 * stays, because it belongs to the cohort. But a server without room for watched keys reports one as changed for each new one. So a lease that was
 * verified a moment ago is only looked at, and so is one that its owner renews.
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
  /** Questions under way, by lease. `stale`: another hint came meanwhile, and the answer may be older. */
  readonly #pending = new WeakMap<LeaseRecord, { stale: boolean }>()
  /** When the verifier last renewed a lease. */
  readonly #renewedAt = new WeakMap<LeaseRecord, number>()

  constructor(parts: VerifierParts) {
    this.#parts = parts
  }

  /** The key of a lease may have changed. */
  verify(record: LeaseRecord): void {
    const pending = this.#pending.get(record)
    if (pending) pending.stale = true
    else this.#ask(record)
  }

  /** The key of a lease may have changed, but probably has not: only looks at the key. */
  look(record: LeaseRecord): void {
    if (!this.#pending.has(record)) this.#ask(record, true)
  }

  #ask(record: LeaseRecord, onlyLook = false): void {
    const { clock, dispatch } = this.#parts
    const { key, token, ttl, timeout, joint } = record
    this.#pending.set(record, { stale: false })
    const settle = (outcome: ChangeOutcome): void => this.#settle(record, outcome)
    const request = {
      key,
      token,
      ttl,
      timeout,
      joint,
      settle,
      settleLate: (outcome: ChangeOutcome): void => this.#refuse(record, outcome),
      // No lease is renewed after its end (P12).
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
    // If there was no answer, the next renewal finds out.
    this.#refuse(record, outcome)
    if (stale && outcome.type === 'done' && record.cohort) {
      this.#ask(record)
    }
  }

  /** A definite refusal counts however late it comes: a key that was not ours cannot have become ours again (P18). */
  #refuse(record: LeaseRecord, outcome: ChangeOutcome): void {
    if (outcome.type !== 'refused') return
    const { table, clock } = this.#parts
    table.apply(record, { type: 'refused', now: clock.now(), reason: outcome.reason })
  }
}
