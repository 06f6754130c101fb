/**
 * Looks after held leases whose keys may have been changed by somebody else: asks at once, in batches, and only a definite
 * answer ends one. May import types.
 */
import type { ChangeOutcome } from './backend.ts'
import type { Clock } from './clock.ts'
import type { LeaseRecord } from './lease-record.ts'
import type { LeaseTable } from './lease-table.ts'
import type { Request } from './outbox.ts'

export interface VerifierParts {
  readonly clock: Clock
  readonly table: LeaseTable
  /** Collects a question for the end of this turn. */
  readonly post: (request: Request<ChangeOutcome>) => void
}

export class Verifier {
  readonly #parts: VerifierParts
  /** Questions under way, by lease, and whether another change was hinted at meanwhile: the answer may be older. */
  readonly #pending = new Map<LeaseRecord, { stale: boolean }>()

  constructor(parts: VerifierParts) {
    this.#parts = parts
  }

  /** The key of a lease may have been changed. */
  verify(record: LeaseRecord): void {
    const pending = this.#pending.get(record)
    if (pending) pending.stale = true
    else this.#ask(record)
  }

  #ask(record: LeaseRecord): void {
    const { key, token, ttl, timeout } = record
    this.#pending.set(record, { stale: false })
    const settle = (outcome: ChangeOutcome): void => this.#settle(record, outcome)
    this.#parts.post({ key, token, ttl, timeout, wanted: true, settle })
  }

  #settle(record: LeaseRecord, outcome: ChangeOutcome): void {
    const { table, clock } = this.#parts
    const stale = this.#pending.get(record)?.stale
    this.#pending.delete(record)
    // What was not answered is found out by the next renewal.
    if (outcome.type === 'refused') {
      table.apply(record, { type: 'refused', now: clock.now(), reason: outcome.reason })
    } else if (stale && outcome.type === 'done' && record.cohort) {
      this.#ask(record)
    }
  }
}
