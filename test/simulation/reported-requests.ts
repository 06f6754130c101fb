/** Requests as they leave a manager: tells an observer of each, and of its outcomes, and lets some of them fail, or never be answered. */
import type { AcquireOutcome, ChangeOutcome, HandOverEntry, HandOverOutcome, LockEntry } from 'leasewheel'
import type { Random } from './random.ts'
import type { BackendObserver, LockRequest, Operation } from './simulated-backend.ts'

export interface ReportedRequestsParts {
  readonly observer: BackendObserver
  readonly random: Random
  /** See `BackendParts.errors`. */
  readonly errors: number
}

export class ReportedRequests {
  /** How many requests will never be answered, by nothing: a promise that never settles. */
  muted = 0
  readonly #parts: ReportedRequestsParts

  constructor(parts: ReportedRequestsParts) {
    this.#parts = parts
  }

  async carryOut<O extends AcquireOutcome | ChangeOutcome>(
    operation: Operation,
    entries: readonly LockEntry[],
    watch: boolean,
    send: (request: LockRequest) => Promise<readonly O[]>,
  ): Promise<readonly O[]> {
    const { observer, errors, random } = this.#parts
    const sent = observer.onSent(operation, entries)
    const fails = random.chance(errors)
    const never = random.chance(this.muted)
    if (never) observer.onNever(sent, entries)
    let outcomes: readonly O[]
    try {
      outcomes = await send({ operation, entries, watch, sent, fails, asking: false })
    } catch (error) {
      outcomes = entries.map(() => ({ type: 'unknown', error: error as Error }) as O)
    }
    if (never) return new Promise(() => undefined)
    for (const [index, outcome] of outcomes.entries()) observer.onOutcome(sent, entries[index] as LockEntry, outcome)
    observer.onAnswered(entries.map(({ key }) => key))
    return outcomes
  }

  /** To those who look on this is a release and an acquire. */
  async handOver(
    entries: readonly HandOverEntry[],
    watch: boolean,
    send: (request: LockRequest) => Promise<readonly HandOverOutcome[]>,
  ): Promise<readonly HandOverOutcome[]> {
    const { observer, errors, random } = this.#parts
    const present = entries.map(({ key, from, ttl }) => ({ key, token: from, ttl }))
    const released = observer.onSent('release', present)
    const sent = observer.onSent('acquire', entries)
    const fails = random.chance(errors)
    const never = random.chance(this.muted)
    if (never) {
      observer.onNever(released, present)
      observer.onNever(sent, entries)
    }
    let outcomes: readonly HandOverOutcome[]
    try {
      outcomes = await send({ operation: 'handOver', entries, watch, sent, fails, asking: false })
    } catch (error) {
      outcomes = entries.map(() => ({ type: 'unknown', error: error as Error }))
    }
    if (never) return new Promise(() => undefined)
    for (const [index, outcome] of outcomes.entries()) {
      const [one, other] = outcome.type === 'unknown' ? [outcome, outcome] : [outcome.released, outcome.acquired]
      observer.onOutcome(released, present[index] as LockEntry, one)
      observer.onOutcome(sent, entries[index] as LockEntry, other)
    }
    observer.onAnswered(entries.map(({ key }) => key))
    return outcomes
  }
}
