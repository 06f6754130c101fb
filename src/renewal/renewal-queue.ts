/**
 * Cohorts whose renewal waits to be sent, and which of them share a batch.
 *
 * The nearest deadline goes first, as long as the answer can come before it (C. Liu, J. Layland, 1973). Under overload, strict
 * earliest-deadline-first misses every deadline (C. Locke, 1986), so cohorts whose deadline cannot be met any more go last.
 */
import type { LeaseCohort } from '../lease/lease-record.ts'
import { DeadlineQueue } from '../structures/deadline-queue.ts'

export class RenewalQueue {
  readonly #batchSize: number
  readonly #queue: DeadlineQueue<LeaseCohort>
  /** Cohorts whose answer would probably come too late: they are sent after all others. */
  readonly #hopeless: DeadlineQueue<LeaseCohort>

  /** @param slack see `DeadlineQueue`. @param batchSize the largest number of leases in a batch. */
  constructor(slack: number, batchSize: number) {
    this.#batchSize = batchSize
    this.#queue = new DeadlineQueue(slack)
    this.#hopeless = new DeadlineQueue(slack)
  }

  add(cohort: LeaseCohort): void {
    this.#queue.add(cohort)
  }

  /** The cohort that is sent next. */
  peek(): LeaseCohort | undefined {
    return this.#queue.peek(isWaiting) ?? this.#hopeless.peek(isWaiting)
  }

  /** Takes out the cohorts of the next batch. @param answered when its answer is expected, in ms on the clock. */
  take(answered: number): LeaseCohort[] {
    for (let next = this.#queue.peek(isWaiting); next; next = this.#queue.peek(isWaiting)) {
      if (next.deadline >= answered) break
      this.#queue.shift()
      this.#hopeless.add(next)
    }
    // The server may answer faster by now.
    const spared = this.#hopeless.peek(isWaiting)
    if (spared && spared.deadline >= answered) return this.#takeFrom(this.#hopeless)
    const cohorts = this.#takeFrom(this.#queue)
    return cohorts.length > 0 ? cohorts : this.#takeFrom(this.#hopeless)
  }

  #takeFrom(queue: DeadlineQueue<LeaseCohort>): LeaseCohort[] {
    const cohorts: LeaseCohort[] = []
    let size = 0
    for (let next = queue.peek(isWaiting); next; next = queue.peek(isWaiting)) {
      if (size > 0 && (size + next.size > this.#batchSize || next.apart !== cohorts[0]?.apart)) break
      queue.shift()
      // A cohort that was withdrawn and queued again stands here twice.
      next.renewal = undefined
      size += next.size
      cohorts.push(next)
    }
    return cohorts
  }
}

/** A queued cohort may have been withdrawn, or sent, or may have lost its last member. */
function isWaiting(cohort: LeaseCohort): boolean {
  return cohort.renewal === 'queued' && cohort.size > 0
}
