/**
 * When requests are sent: those of one turn of the event loop leave together at its end, or as soon as they fill a batch. So the server answers
 * some while we build more. Releases leave first, so that a key can change hands in one round trip, and a release and an acquire of one key leave as one
 * request.
 */
import type { AcquireOutcome, ChangeOutcome, LockEntry, ReleaseEntry } from '../backend.ts'
import type { Clock } from '../time/clock.ts'
import type { Batch, OutboxParts, Request } from './batch.ts'
import { HandOvers, type Release } from './hand-overs.ts'
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
  readonly #handOvers: HandOvers
  readonly #questions: Outbox<ChangeOutcome>
  readonly #renewals: Outbox<ChangeOutcome>
  /** For keys that several may hold: a release frees a part only, and is no hand-over. It may come later in this turn. */
  #nextJoint: Request<AcquireOutcome>[] = []
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
    this.#handOvers = new HandOvers(
      parts,
      (release) => {
        this.#releases.add(release)
        this.#releases.flush()
      },
      (entries) => watches(entries, entries.length),
    )
    this.#questions = new Outbox(parts, (entries) => backend.verify(entries), true)
    this.#renewals = new Outbox(parts, (entries) => backend.renew(entries, watches(entries, 0)), true)
  }

  acquire(request: Request<AcquireOutcome>): void {
    this.#add(this.#acquires, request)
  }

  /**
   * As `acquire`, for a key that is being given back here: if its release comes in this turn, both become one request. A key that several may hold is
   * asked for behind it.
   */
  acquireNext(request: Request<AcquireOutcome>): void {
    if (request.joint) this.#nextJoint.push(request)
    else this.#handOvers.ask(request)
    this.#flushSoon()
  }

  /** A complete batch leaves at once. */
  acquireTogether(batch: Batch<AcquireOutcome>): void {
    this.#acquires.addBatch(batch)
    this.#flush()
  }

  release(request: Release): void {
    if (this.#handOvers.take(request)) this.#flushSoon()
    else this.#add(this.#releases, request)
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
  async acquiresSettled(): Promise<void> {
    await Promise.all([this.#acquires.idle(), this.#handOvers.idle()])
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
      this.#flush(true)
    })
  }

  /** @param isOver whether the turn is over: no release follows any more. */
  #flush(isOver = false): void {
    this.#releases.flush()
    this.#handOvers.flush()
    if (isOver) {
      for (const request of this.#handOvers.takeAlone()) this.#acquires.add(request)
      for (const request of this.#nextJoint) this.#acquires.add(request)
      this.#nextJoint = []
    }
    this.#questions.flush()
    this.#renewals.flush()
    this.#acquires.flush()
  }
}
