/** Requests to the backend, one by one or in batches, and what sending them takes. */
import type { Backend, LockEntry, Routing, Unknown } from '../backend.ts'
import type { Clock } from '../time/clock.ts'
import type { Alarms } from '../time/scheduler.ts'
import type { Tally } from '../stats.ts'

/** One entry of a batch, and its caller. */
export interface Request<Outcome> extends LockEntry {
  /** ms. */
  readonly timeout: number
  /** Whether the caller still wants an answer. If not, an unsent request is never sent. */
  readonly wanted: boolean
  /**
   * @param sentAt when the request was sent; undefined if it never was.
   * @param unansweredAt when an earlier, unanswered request was sent: the server may still carry that out.
   */
  settle(outcome: Outcome | Unknown, sentAt: number | undefined, unansweredAt: number | undefined): void
  /** Takes an answer that came after the request was given up. */
  settleLate?(outcome: Outcome | Unknown): void
  /** It is not wanted any more, and will not be sent. */
  drop?(): void
}

/** Entries that are sent together. */
export interface Batch<Outcome, Entry extends LockEntry = LockEntry> {
  /** ms. */
  readonly timeout: number
  /** Any of its entries: if there are several servers, it says which one the batch waits for. */
  readonly first: LockEntry | undefined
  /** Called once, at the sending. @returns the entries that are still wanted; if there are none, nothing is sent. */
  take(): readonly Entry[]
  /**
   * Called before the batch is sent once more. Settles entries that are not wanted any more with the outcome of the first request, which was sent
   * at `sentAt`. @returns the others.
   */
  takeAgain?(outcome: Unknown, sentAt: number): readonly Entry[]
  /** The number of entries to settle. */
  readonly size: number
  /** Called once for each entry, with its index in the entries taken last. See `Request.settle`. */
  settle(index: number, outcome: Outcome | Unknown, sentAt: number | undefined, unansweredAt: number | undefined): void
  /** Called if `settle` threw: a caller that still waits for the entry gets this outcome. */
  settleFaulty(index: number, outcome: Unknown, sentAt: number | undefined, unansweredAt: number | undefined): void
  /** Called once, after all entries. */
  finish?(): void
  /** Takes an answer that came after the batch was given up. */
  settleLate?(index: number, outcome: Outcome | Unknown): void
}

export interface OutboxParts {
  readonly backend: Backend
  readonly clock: Clock
  readonly scheduler: Alarms
  /** None if there is one server. */
  readonly routing: Routing | undefined
  readonly tally: Tally
  readonly batchSize: number
  /** Applying an outcome threw. */
  readonly onFault: (fault: unknown) => void
}

export type Send<Outcome, Entry> = (entries: readonly Entry[]) => Promise<readonly (Outcome | Unknown)[]>
