/**
 * Giving keys back: `release()`, and the silent undoing of what nobody wants any more. Both are a compare-and-delete that
 * is repeated until it is answered or until the key has expired. May import the outbox, the table, timing and errors.
 */
import type { ChangeOutcome, LockEntry, ReleaseEntry } from './backend.ts'
import type { Clock } from './clock.ts'
import { isActive } from './core/lease-state.ts'
import { renewalRetryDelay } from './core/timing.ts'
import { UnavailableError } from './errors.ts'
import type { LeaseRecord } from './lease-record.ts'
import type { LeaseTable } from './lease-table.ts'
import type { Request } from './outbox.ts'
import type { Alarm, Alarms, Tick } from './scheduler.ts'

/** How many releases `releaseAll` has under way at once: bounds its memory, and how long it keeps the event loop. */
const RELEASES_UNDER_WAY = 4_096

export interface ReleaserParts {
  readonly clock: Clock
  readonly scheduler: Alarms
  readonly table: LeaseTable
  readonly random: () => number
  /** A key was deleted at another moment than its lease ended: what a manager changes itself, the server does not tell it. */
  readonly onDeletedLate: (key: string) => void
  /** Whether the next change of a key is of interest from the moment of its deletion on. */
  readonly isOffered: (key: string) => boolean
  /** Collects a compare-and-delete for the end of this turn. */
  readonly post: (request: ReleaseRequest) => void
}

export type ReleaseRequest = Request<ChangeOutcome> & ReleaseEntry

/** A release whose caller still waits for its outcome. */
interface PendingRelease {
  readonly promise: Promise<boolean>
  finish(outcome: ChangeOutcome): void
}

export class Releaser {
  readonly #parts: ReleaserParts
  readonly #pending = new Map<LeaseRecord, PendingRelease>()
  readonly #deletions = new Set<Deletion>()
  readonly #unanswered = new Set<Deletion>()
  #onIdle: (() => void)[] = []
  #closed = false

  constructor(parts: ReleaserParts) {
    this.#parts = parts
  }

  /** Keys that are being deleted. */
  get undoing(): number {
    return this.#deletions.size
  }

  /** See `Lease.release`. */
  release(record: LeaseRecord): Promise<boolean> {
    const { table, clock, scheduler } = this.#parts
    const pending = this.#pending.get(record)
    if (pending) return pending.promise
    if (!isActive(table.observe(record))) return Promise.resolve(false)
    const now = clock.now()
    // The state flips before anything is sent: from here on nothing renews this key (P12, P16).
    table.apply(record, { type: 'release', now })

    let resolve: (released: boolean) => void
    const promise = new Promise<boolean>((settle) => {
      resolve = settle
    })
    const onPatienceOver = ({ late }: Tick): void => {
      // The answer may have come while the event loop was blocked: let it be read first.
      if (late) patience = scheduler.after(0, onPatienceOver)
      else finish(UNDECIDED)
    }
    let patience = scheduler.after(record.timeout, onPatienceOver)
    const finish = (outcome: ChangeOutcome): void => {
      if (!this.#pending.delete(record)) return
      patience.cancel()
      table.apply(record, releaseInput(outcome))
      resolve(outcome.type === 'done')
    }
    this.#pending.set(record, { promise, finish })
    this.#delete({ entry: record, timeout: record.timeout, until: now + record.ttl, inDoubt: false }, finish)
    return promise
  }

  /** Releases every lease there is, some thousands at a time, until it is told that there is no more time. */
  async releaseAll(isOver: () => boolean): Promise<void> {
    const { table } = this.#parts
    while (table.size > 0 && !isOver()) {
      const releases: Promise<boolean>[] = []
      for (const record of table.values()) {
        releases.push(this.release(record))
        if (releases.length === RELEASES_UNDER_WAY) break
      }
      await Promise.all(releases)
    }
  }

  /** Deletes a key in the background if it still holds this token: an acquisition that nobody wants any more. */
  undo(goal: DeletionGoal): void {
    this.#delete(goal)
  }

  /** A lease ended by time: its key may still be there, and a renewal on its way may even prolong it. */
  abandon(record: LeaseRecord): void {
    const until = this.#parts.clock.now() + record.ttl
    this.#delete({ entry: record, timeout: record.timeout, until, inDoubt: false })
  }

  /** Resolves when every deletion has been answered. */
  idle(): Promise<void> {
    if (this.#unanswered.size === 0) return Promise.resolve()
    return new Promise((resolve) => {
      this.#onIdle.push(resolve)
    })
  }

  /** Gives up: what is still leased ends unreleased, what is not answered by now stays unknown, and both expire. */
  close(): void {
    const { table, clock } = this.#parts
    this.#closed = true
    for (const record of table.values()) {
      table.apply(record, { type: 'release', now: clock.now() })
      table.apply(record, { type: 'undecided' })
    }
    for (const pending of this.#pending.values()) pending.finish(UNDECIDED)
    for (const deletion of this.#deletions) deletion.cancel()
    this.#deletions.clear()
    this.#unanswered.clear()
    this.#tellIdle()
  }

  #delete(goal: DeletionGoal, onAnswer?: (outcome: ChangeOutcome) => void): void {
    if (this.#closed) return
    const deletion = new Deletion(this.#parts, goal, (outcome, over) => {
      if (over) this.#deletions.delete(deletion)
      if (outcome.type !== 'refused' && (onAnswer === undefined || deletion.repeated)) {
        this.#parts.onDeletedLate(goal.entry.key)
      }
      if (!this.#unanswered.delete(deletion)) return
      onAnswer?.(outcome)
      if (this.#unanswered.size === 0) this.#tellIdle()
    })
    this.#deletions.add(deletion)
    this.#unanswered.add(deletion)
    deletion.start()
  }

  #tellIdle(): void {
    const waiting = this.#onIdle
    this.#onIdle = []
    for (const resolve of waiting) resolve()
  }
}

const UNDECIDED = { type: 'unknown', error: new UnavailableError('The release was not answered in time') } as const

export interface DeletionGoal {
  readonly entry: LockEntry
  /** How long one attempt may stay unanswered, in ms. */
  readonly timeout: number
  /** When the key is sure to have expired, whatever happens. */
  readonly until: number
  /**
   * A request that may create the key was never answered. "There is no such key" is no end then: the request may still be on
   * its way, through another connection, and is looked for until `until`.
   */
  readonly inDoubt: boolean
}

/** One compare-and-delete, repeated with backoff while the key may still be, or come to be, there. */
class Deletion {
  readonly #parts: ReleaserParts
  readonly #goal: DeletionGoal
  readonly #onAnswer: (outcome: ChangeOutcome, over: boolean) => void
  #repetitions = 0
  #retry: Alarm | undefined
  #cancelled = false

  constructor(parts: ReleaserParts, goal: DeletionGoal, onAnswer: (outcome: ChangeOutcome, over: boolean) => void) {
    this.#parts = parts
    this.#goal = goal
    this.#onAnswer = onAnswer
  }

  /** Whether the first attempt was not answered. */
  get repeated(): boolean {
    return this.#repetitions > 0
  }

  start(): void {
    const { entry, timeout } = this.#goal
    const { key, token, ttl } = entry
    const watch = this.#parts.isOffered(key)
    this.#parts.post({ key, token, ttl, timeout, watch, wanted: true, settle: this.#onOutcome })
  }

  cancel(): void {
    this.#cancelled = true
    this.#retry?.cancel()
  }

  readonly #onOutcome = (outcome: ChangeOutcome): void => {
    if (this.#cancelled) return
    const { clock, scheduler, random } = this.#parts
    const { entry, until, inDoubt } = this.#goal
    const remaining = until - clock.now()
    const over = outcome.type === 'done' || (outcome.type === 'refused' && !inDoubt) || remaining <= 0
    // Where an earlier attempt was not answered, it may have been that one which deleted the key.
    const undecided = outcome.type === 'refused' && this.#repetitions > 0
    if (over || outcome.type !== 'unknown') this.#onAnswer(undecided ? UNDECIDED : outcome, over)
    if (over) return
    this.#repetitions += 1
    this.#retry = scheduler.after(renewalRetryDelay(entry.ttl, this.#repetitions, remaining, random()), () =>
      this.start(),
    )
  }
}

function releaseInput(outcome: ChangeOutcome) {
  switch (outcome.type) {
    case 'done':
      return { type: 'deleted' } as const
    case 'refused':
      return { type: 'gone', reason: outcome.reason } as const
    case 'unknown':
      return { type: 'undecided' } as const
    default:
      return outcome satisfies never
  }
}
