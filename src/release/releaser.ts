/**
 * Deletes keys: for `release()`, for many leases at once, and silently for acquisitions without a caller. Each is a
 * compare-and-delete, repeated until it is answered or the key has expired.
 */
import type { ChangeOutcome, LockEntry, ReleaseEntry, Routing, Unknown } from '../backend.ts'
import type { Clock } from '../time/clock.ts'
import { Deletion, type DeletionGoal, type DeletionParts, UNANSWERED } from './deletion.ts'
import type { Doubt } from '../rules/doubt.ts'
import type { LeaseRecord, PendingRelease } from '../lease/lease-record.ts'
import type { LeaseTable } from '../lease/lease-table.ts'
import { Bell } from '../requests/bell.ts'
import type { Dispatch } from '../requests/dispatch.ts'
import type { Batch } from '../requests/batch.ts'
import { lanesByPlace } from '../requests/place-order.ts'
import type { Alarm } from '../time/scheduler.ts'

/** Keys under way at once: bounds memory, and the time in which answers that come together block the event loop. */
const KEYS_UNDER_WAY = 2_048

/** An acquisition to undo. `timeout`: how long a request may stay unanswered, in ms. */
type Undoable = LockEntry & { readonly timeout: number }

export interface ReleaserParts extends DeletionParts {
  readonly clock: Clock
  readonly table: LeaseTable
  readonly batchSize: number
  /** None if there is one server. */
  readonly routing: Routing | undefined
  /** Whether renewals wait to be sent, because the server of this key is too slow. */
  readonly isBehind: (key: string) => boolean
  /** A key was deleted later than its lease ended. The server does not notify a manager of its own changes. */
  readonly onChangedHere: (key: string) => void
  readonly dispatch: Pick<Dispatch, 'release' | 'releaseTogether'>
}

export class Releaser {
  readonly #parts: ReleaserParts
  readonly #deletions = new Set<Deletion>()
  readonly #unanswered = new Set<Deletion | ReleaseBatch>()
  /** Keys in batches under way. */
  #inBatches = 0
  readonly #idle = new Bell()
  #closed = false

  constructor(parts: ReleaserParts) {
    this.#parts = parts
  }

  /** Keys being deleted. */
  get undoing(): number {
    return this.#deletions.size + this.#inBatches
  }

  /** See `Lease.release`. */
  release(record: LeaseRecord): Promise<boolean> {
    if (record.release) return record.release.outcomeOf(record)
    const now = this.#parts.clock.now()
    if (!this.#letGo(record, now)) return Promise.resolve(false)
    return this.#deleteFor(record, now).outcomeOf()
  }

  /**
   * Releases many leases, some thousands at a time. @param onSettled called with the number of leases just settled. @param isOver whether the time
   * is over: then no more releases begin.
   */
  async releaseEach(
    records: Iterable<LeaseRecord>,
    onSettled: (count: number) => void = () => undefined,
    isOver: () => boolean = never,
  ): Promise<void> {
    const release = async (some: readonly LeaseRecord[]): Promise<boolean> => {
      const isAnswered = await this.#releaseTogether(some)
      onSettled(some.length)
      return isAnswered
    }
    const work = async (take: () => readonly LeaseRecord[]): Promise<void> => {
      let isSilent = false
      const sent: Promise<boolean>[] = []
      for (let some = take(); some.length > 0 && !isOver(); some = take()) {
        const answer = release(some)
        // One of several servers that is silent gets all the rest at once: one timeout for each batch would add up.
        if (isSilent) sent.push(answer)
        else isSilent = !(await answer) && this.#parts.routing !== undefined
      }
      await Promise.all(sent)
    }
    const workers = Math.ceil(KEYS_UNDER_WAY / this.#parts.batchSize)
    const takes = await this.#partsOf(records)
    await Promise.all(takes.flatMap((take) => Array.from({ length: workers }, () => work(take))))
  }

  /** For each server a function that takes the next batch of its leases, which is empty at the end. */
  async #partsOf(records: Iterable<LeaseRecord>): Promise<(() => readonly LeaseRecord[])[]> {
    const { routing } = this.#parts
    if (routing === undefined) {
      const rest = records[Symbol.iterator]()
      return [() => this.#takeSome(rest)]
    }
    const list = [...records]
    const lanes = await lanesByPlace(
      list.map(({ key }) => key),
      routing,
      this.#parts,
    )
    return lanes.map((lane) => () => lane.take()?.map((index) => list[index] as LeaseRecord) ?? [])
  }

  /**
   * Deletes a key in the background if it still holds this token, for an acquisition without a caller.
   *
   * @param until when the key is sure to have expired. @param unanswered see `DeletionGoal`.
   */
  undo({ key, token, ttl, timeout, joint }: Undoable, { unanswered, until }: Doubt): void {
    this.#delete({ entry: { key, token, ttl, joint }, timeout, until, unanswered })
  }

  /**
   * A lease ended by time. Its key may still exist, and a renewal on its way may even extend it. If the server is too slow for the renewals,
   * the key is left to expire: deleting it would cost leases that can still be kept.
   */
  abandon(record: LeaseRecord): void {
    if (this.#parts.isBehind(record.key)) return
    const { timeout, ttl } = record
    const now = this.#parts.clock.now()
    this.#delete({ entry: record, timeout, until: now + ttl, unanswered: landingsOf(record, now) })
  }

  /** Resolves once every deletion has been answered. If there are several servers, one that is silent delays that for a while only. */
  async idle(): Promise<void> {
    if (this.#unanswered.size === 0) return
    const { clock, scheduler, routing } = this.#parts
    const answered = this.#idle.next()
    const until = [...this.#deletions].reduce((latest, { patientUntil }) => Math.max(latest, patientUntil), 0)
    if (routing === undefined) return answered
    let alarm: Alarm | undefined
    const over = new Promise<void>((resolve) => {
      alarm = scheduler.after(Math.max(until - clock.now(), 0), () => resolve())
    })
    await Promise.race([answered, over])
    alarm?.cancel()
  }

  /** Gives up: leases that are still held end without a release, unanswered releases stay unknown, and their keys expire. */
  close(): void {
    const { table, clock } = this.#parts
    this.#closed = true
    for (const record of table.values()) {
      table.apply(record, { type: 'release', now: clock.now() })
      table.apply(record, { type: 'undecided' })
    }
    for (const pending of this.#unanswered) pending.giveUp()
    for (const deletion of this.#deletions) deletion.giveUp()
    this.#deletions.clear()
    this.#unanswered.clear()
    this.#idle.ring()
  }

  /** Sets the state before anything is sent: from here on nothing renews this key (P12, P16). @returns whether there is a key to delete. */
  #letGo(record: LeaseRecord, now: number): boolean {
    if (record.cohort === undefined) return false
    this.#parts.table.apply(record, { type: 'release', now })
    return record.state === 'releasing'
  }

  #takeSome(rest: Iterator<LeaseRecord>): LeaseRecord[] {
    const some: LeaseRecord[] = []
    while (some.length < this.#parts.batchSize) {
      const next = rest.next()
      if (next.done) break
      some.push(next.value)
    }
    return some
  }

  /** @returns whether the server has answered. */
  async #releaseTogether(records: readonly LeaseRecord[]): Promise<boolean> {
    const { clock, table, isOffered, dispatch } = this.#parts
    const singles: Promise<boolean>[] = []
    const since = clock.now()
    const batch = new ReleaseBatch((record, outcome) => this.#settle(record, outcome, since))
    // Losses are emitted before any release: a request of a listener must not be sent before the release of its key.
    for (const record of records) table.apply(record, { type: 'observed', now: since })
    for (const record of records) {
      if (record.release) singles.push(record.release.outcomeOf(record))
      else if (!this.#letGo(record, since)) continue
      // The lock is left to other processes: a release of its own watches the key.
      else if (isOffered(record.key)) singles.push(this.#deleteFor(record, since).outcomeOf())
      else batch.add(record)
    }
    if (batch.size > 0) {
      this.#inBatches += batch.size
      this.#unanswered.add(batch)
      dispatch.releaseTogether(batch)
      await batch.settled
      this.#onAnswered(batch)
    }
    await Promise.all(singles)
    return batch.size === 0 || batch.isAnswered
  }

  /** Settles one lease of a batch. An unanswered release becomes a deletion of its own. */
  #settle(record: LeaseRecord, outcome: ChangeOutcome, since: number): Promise<boolean> | boolean {
    record.release = undefined
    this.#inBatches -= 1
    if (outcome.type === 'unknown' && !this.#closed) return this.#deleteFor(record, since, outcome).outcomeOf()
    this.#parts.table.apply(record, releaseInput(outcome))
    // The key is gone, but an earlier unanswered request may still create it anew.
    const { doubt, stay } = record.has
    if (stay === undefined && doubt !== undefined && doubt.until > this.#parts.clock.now()) this.undo(record, doubt)
    return outcome.type === 'done'
  }

  #deleteFor(record: LeaseRecord, since: number, first?: Unknown): Deletion {
    const { table } = this.#parts
    const { timeout, ttl } = record
    const goal = { entry: record, timeout, until: since + ttl, unanswered: landingsOf(record, since), since }
    const deletion = this.#delete(goal, first, (outcome) => {
      record.release = undefined
      table.apply(record, releaseInput(outcome))
    })
    if (!deletion.decided) record.release = deletion
    return deletion
  }

  /** @param first the outcome of an attempt made before. */
  #delete(goal: DeletionGoal, first?: Unknown, onDecided?: (outcome: ChangeOutcome) => void): Deletion {
    const deletion = new Deletion(this.#parts, goal, onDecided, (outcome, over) => {
      if (over) this.#deletions.delete(deletion)
      if (outcome.type !== 'refused' && (onDecided === undefined || deletion.repeated)) {
        this.#parts.onChangedHere(goal.entry.key)
      }
      this.#onAnswered(deletion)
    })
    if (this.#closed) {
      deletion.giveUp()
      return deletion
    }
    this.#deletions.add(deletion)
    this.#unanswered.add(deletion)
    deletion.start(first)
    return deletion
  }

  #onAnswered(asked: Deletion | ReleaseBatch): void {
    if (this.#unanswered.delete(asked) && this.#unanswered.size === 0) this.#idle.ring()
  }
}

/** Leases that are released in one batch. Each is settled on its own, and a caller may wait for it. */
class ReleaseBatch implements Batch<ChangeOutcome, ReleaseEntry>, PendingRelease {
  timeout = Number.POSITIVE_INFINITY
  /** Whether the server has answered for any of them. */
  isAnswered = false
  /** Resolves once all are settled. */
  readonly settled: Promise<void>
  readonly #settleOne: (record: LeaseRecord, outcome: ChangeOutcome) => Promise<boolean> | boolean
  readonly #records: LeaseRecord[] = []
  readonly #askers = new Map<LeaseRecord, ((released: Promise<boolean> | boolean) => void)[]>()
  /** Unanswered releases, which go on by themselves. */
  readonly #later: Promise<boolean>[] = []
  #resolve: ((value: void | Promise<void>) => void) | undefined

  constructor(settleOne: (record: LeaseRecord, outcome: ChangeOutcome) => Promise<boolean> | boolean) {
    this.#settleOne = settleOne
    this.settled = new Promise((resolve) => {
      this.#resolve = resolve
    })
  }

  get first(): LeaseRecord | undefined {
    return this.#records[0]
  }

  get size(): number {
    return this.#records.length
  }

  add(record: LeaseRecord): void {
    record.release = this
    this.timeout = Math.min(this.timeout, record.timeout)
    this.#records.push(record)
  }

  outcomeOf(record: LeaseRecord): Promise<boolean> {
    return new Promise((resolve) => {
      const askers = this.#askers.get(record)
      if (askers) askers.push(resolve)
      else this.#askers.set(record, [resolve])
    })
  }

  take(): readonly ReleaseEntry[] {
    return this.#resolve ? this.#records : []
  }

  settle(index: number, outcome: ChangeOutcome): void {
    const record = this.#records[index] as LeaseRecord
    if (outcome.type !== 'unknown') this.isAnswered = true
    if (record.release !== this) return
    let released: Promise<boolean> | boolean = false
    try {
      released = this.#settleOne(record, outcome)
    } finally {
      if (typeof released !== 'boolean') this.#later.push(released)
      if (this.#askers.size > 0) for (const asker of this.#askers.get(record) ?? []) asker(released)
    }
  }

  /** Nothing is left to do: `settle` has answered the callers. */
  settleFaulty(): void {}

  finish(): void {
    this.#resolve?.(Promise.all(this.#later).then(() => undefined))
    this.#resolve = undefined
  }

  /** Releases without an answer stay unknown. */
  giveUp(): void {
    for (let index = 0; index < this.#records.length; index += 1) this.settle(index, UNANSWERED)
    this.finish()
  }
}

/** How many deletions a key may need because of unanswered requests; 0 if one answer is enough. */
function landingsOf({ has: { doubt } }: LeaseRecord, now: number): number {
  return doubt !== undefined && doubt.until > now ? doubt.unanswered + 1 : 0
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

function never(): boolean {
  return false
}
