/**
 * Cohorts whose renewal waits to be sent, and which of them are sent together.
 *
 * Nearest deadline first, as long as the answer can come before it. Where a server is too slow for all of them, the nearest deadline is one that
 * cannot be met any more: who kept to that order would be too late for every one. (C. Liu, J. Layland, 1973, for the order; C. Locke, 1986,
 * for what becomes of it under overload.)
 */
import type { LeaseCohort } from '../lease/lease-record.ts'
import { DeadlineQueue } from '../structures/deadline-queue.ts'

export class RenewalQueue {
  readonly #batchSize: number
  readonly #queue: DeadlineQueue<LeaseCohort>
  /** Those whose answer would come too late, as far as is known: they are sent when there is nothing better to do. */
  readonly #hopeless: DeadlineQueue<LeaseCohort>

  /** @param slack see `DeadlineQueue`. @param batchSize how many leases are sent together at most. */
  constructor(slack: number, batchSize: number) {
    this.#batchSize = batchSize
    this.#queue = new DeadlineQueue(slack)
    this.#hopeless = new DeadlineQueue(slack)
  }

  add(cohort: LeaseCohort): void {
    this.#queue.add(cohort)
  }

  /** The one that is sent next. */
  peek(): LeaseCohort | undefined {
    return this.#queue.peek(isWaiting) ?? this.#hopeless.peek(isWaiting)
  }

  /** Takes out what is sent next, together. @param answered when an answer would come, in ms on the clock. */
  take(answered: number): LeaseCohort[] {
    for (let next = this.#queue.peek(isWaiting); next; next = this.#queue.peek(isWaiting)) {
      if (next.deadline >= answered) break
      this.#queue.shift()
      this.#hopeless.add(next)
    }
    // Answers may come faster by now.
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
      // One that was called back and queued again stands here twice.
      next.renewal = undefined
      size += next.size
      cohorts.push(next)
    }
    return cohorts
  }
}

/** It may have been called back, sent from elsewhere, or lost its last member meanwhile. */
function isWaiting(cohort: LeaseCohort): boolean {
  return cohort.renewal === 'queued' && cohort.size > 0
}
