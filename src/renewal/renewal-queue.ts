/**
 * Cohorts whose renewal waits to be sent, and which of them share a batch.
 *
 * The nearest deadline goes first, as long as the answer can come before it (C. Liu, J. Layland, 1973). Under overload, strict
 * earliest-deadline-first misses every deadline (C. Locke, 1986), so cohorts whose deadline cannot be met any more go last.
 */
import type { LeaseCohort } from '../lease/lease-record.ts'
import { DeadlineQueue } from '../structures/deadline-queue.ts'
import { type Bundle, bundlesOf, type BundlingParts, isWaiting } from './bundles.ts'

export interface RenewalQueue {
  add(cohort: LeaseCohort): void
  /** The cohort that is sent next. */
  peek(): LeaseCohort | undefined
  /** Takes out the cohorts of the next batch. @param answered when its answer is expected, in ms on the clock. */
  take(answered: number): LeaseCohort[]
}

/** What waits: a cohort, or some that travel together. */
interface Waiting {
  readonly deadline: number
  readonly size: number
  readonly apart: boolean
}

/** The order of what waits. */
class Line<T extends Waiting> {
  readonly #batchSize: number
  readonly #isWaiting: (item: T) => boolean
  readonly #onTaken: (item: T) => void
  readonly #queue: DeadlineQueue<T>
  /** Items whose answer would probably come too late: they are sent after all others. */
  readonly #hopeless: DeadlineQueue<T>

  constructor(slack: number, batchSize: number, isStillWaiting: (item: T) => boolean, onTaken: (item: T) => void) {
    this.#batchSize = batchSize
    this.#isWaiting = isStillWaiting
    this.#onTaken = onTaken
    this.#queue = new DeadlineQueue(slack)
    this.#hopeless = new DeadlineQueue(slack)
  }

  add(item: T): void {
    this.#queue.add(item)
  }

  peek(): T | undefined {
    return this.#queue.peek(this.#isWaiting) ?? this.#hopeless.peek(this.#isWaiting)
  }

  take(answered: number): T[] {
    for (let next = this.#queue.peek(this.#isWaiting); next; next = this.#queue.peek(this.#isWaiting)) {
      if (next.deadline >= answered) break
      this.#queue.shift()
      this.#hopeless.add(next)
    }
    // The server may answer faster by now.
    const spared = this.#hopeless.peek(this.#isWaiting)
    if (spared && spared.deadline >= answered) return this.#takeFrom(this.#hopeless)
    const items = this.#takeFrom(this.#queue)
    return items.length > 0 ? items : this.#takeFrom(this.#hopeless)
  }

  #takeFrom(queue: DeadlineQueue<T>): T[] {
    const items: T[] = []
    let size = 0
    for (let next = queue.peek(this.#isWaiting); next; next = queue.peek(this.#isWaiting)) {
      if (size > 0 && (size + next.size > this.#batchSize || next.apart !== items[0]?.apart)) break
      queue.shift()
      size += next.size
      // A cohort that was withdrawn and queued again stands here twice.
      this.#onTaken(next)
      items.push(next)
    }
    return items
  }
}

/** For one server: a batch is filled with whatever cohorts come next. */
export class PlainQueue implements RenewalQueue {
  readonly #line: Line<LeaseCohort>

  /** @param slack see `DeadlineQueue`. @param batchSize the largest number of leases in a batch. */
  constructor(slack: number, batchSize: number) {
    this.#line = new Line(slack, batchSize, isWaiting, onTaken)
  }

  add(cohort: LeaseCohort): void {
    this.#line.add(cohort)
  }

  peek(): LeaseCohort | undefined {
    return this.#line.peek()
  }

  take(answered: number): LeaseCohort[] {
    return this.#line.take(answered)
  }
}

/** For one of several servers: cohorts that arrive together are put into bundles of neighbouring places first. */
export class BundlingQueue implements RenewalQueue {
  readonly #parts: BundlingParts
  readonly #line: Line<Bundle>
  #arrivals = new Set<LeaseCohort>()
  #taken: LeaseCohort[] = []

  /** @param slack see `DeadlineQueue`. */
  constructor(slack: number, parts: BundlingParts) {
    this.#parts = parts
    this.#line = new Line<Bundle>(
      slack,
      parts.batchSize,
      ({ cohorts }) => cohorts.some(isWaiting),
      ({ cohorts }) => {
        for (const cohort of cohorts.filter(isWaiting)) {
          onTaken(cohort)
          this.#taken.push(cohort)
        }
      },
    )
  }

  add(cohort: LeaseCohort): void {
    this.#arrivals.add(cohort)
  }

  peek(): LeaseCohort | undefined {
    this.#bundle()
    return this.#line.peek()?.cohorts.find(isWaiting)
  }

  take(answered: number): LeaseCohort[] {
    this.#bundle()
    this.#line.take(answered)
    const taken = this.#taken
    this.#taken = []
    return taken
  }

  #bundle(): void {
    if (this.#arrivals.size === 0) return
    const arrivals = [...this.#arrivals].filter(isWaiting)
    this.#arrivals = new Set()
    for (const bundle of bundlesOf(arrivals, this.#parts)) this.#line.add(bundle)
  }
}

function onTaken(cohort: LeaseCohort): void {
  cohort.renewal = undefined
}
