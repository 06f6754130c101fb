/** Requests as they leave a manager: tells an observer of each, and of its outcomes, and lets some of them fail, or never be answered. */
import type { AcquireOutcome, ChangeOutcome, LockEntry } from 'leasewheel'
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
}
