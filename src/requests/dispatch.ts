/**
 * When requests are sent: those of one turn of the event loop leave together at its end, or as soon as they fill a batch. So the server answers
 * some while we build more. Releases leave first, so that a key can change hands in one round trip.
 */
import type { AcquireOutcome, ChangeOutcome, LockEntry, ReleaseEntry } from '../backend.ts'
import type { Clock } from '../time/clock.ts'
import type { Batch, OutboxParts, Request } from './batch.ts'
import { Outbox } from './outbox.ts'

export interface DispatchParts extends OutboxParts {
  readonly clock: Clock
  /** Whether keys of leases are watched now, if `added` more leases are held. @param route see `routeOf`. */
  readonly isWatching: (added: number, route: number | undefined) => boolean
  /** The route of a key now, if there are several. */
  readonly routeOf: (key: string) => number | undefined
}

export class Dispatch {
  readonly #clock: Clock
  readonly #acquires: Outbox<AcquireOutcome>
  readonly #releases: Outbox<ChangeOutcome, ReleaseEntry>
  readonly #questions: Outbox<ChangeOutcome>
  readonly #renewals: Outbox<ChangeOutcome>
  #flushing = false

  constructor(parts: DispatchParts) {
    const { backend, clock, isWatching, routeOf } = parts
    this.#clock = clock
    // All entries belong to one server, as far as we know.
    const watches = ([first]: readonly LockEntry[], added: number): boolean =>
      isWatching(added, first && routeOf(first.key))
    this.#acquires = new Outbox(parts, (entries) => backend.acquire(entries, watches(entries, entries.length)), true)
    // A repeated release does not tell whether the first one deleted the key. Deletions handle that themselves.
    this.#releases = new Outbox(parts, (entries) => backend.release(entries), false)
    this.#questions = new Outbox(parts, (entries) => backend.verify(entries), true)
    this.#renewals = new Outbox(parts, (entries) => backend.renew(entries, watches(entries, 0)), true)
  }

  acquire(request: Request<AcquireOutcome>): void {
    this.#add(this.#acquires, request)
  }

  /** A complete batch leaves at once. */
  acquireTogether(batch: Batch<AcquireOutcome>): void {
    this.#acquires.addBatch(batch)
    this.#flush()
  }

  release(request: Request<ChangeOutcome> & ReleaseEntry): void {
    this.#add(this.#releases, request)
  }

  /** A complete batch leaves at once. */
  releaseTogether(batch: Batch<ChangeOutcome, ReleaseEntry>): void {
    this.#releases.addBatch(batch)
    this.#flush()
  }

  renew(request: Request<ChangeOutcome>): void {
    this.#add(this.#renewals, request)
  }

  /** Asks without changing anything. */
  verify(request: Request<ChangeOutcome>): void {
    this.#add(this.#questions, request)
  }

  /** Resolves once no request for a lock is under way. */
  acquiresSettled(): Promise<void> {
    return this.#acquires.idle()
  }

  #add<O, E extends LockEntry>(outbox: Outbox<O, E>, request: E & Request<O>): void {
    if (outbox.add(request)) this.#flush()
    else this.#flushSoon()
  }

  #flushSoon(): void {
    if (this.#flushing) return
    this.#flushing = true
    this.#clock.soon(() => {
      this.#flushing = false
      this.#flush()
    })
  }

  #flush(): void {
    this.#releases.flush()
    this.#questions.flush()
    this.#renewals.flush()
    this.#acquires.flush()
  }
}
