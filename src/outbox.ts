/**
 * What is asked in one turn of the event loop travels together: requests are collected, cut into batches, sent, and each
 * is settled exactly once, by its answer or by its timeout. Whoever asks for many keys at once puts its batches together itself. May import
 * the port, the clock, the scheduler and errors.
 */
import type { Backend, LockEntry, Unknown } from './backend.ts'
import type { Clock } from './clock.ts'
import { asError } from './as-error.ts'
import { UnavailableError } from './errors.ts'
import type { Alarm, Alarms, Tick } from './scheduler.ts'
import type { Tally } from './stats.ts'

/** One entry of a batch, and who wants to know. */
export interface Request<Outcome> extends LockEntry {
  /** ms. */
  readonly timeout: number
  /** Whether anybody wants an answer: a request that is given up before it was sent is not sent at all. */
  readonly wanted: boolean
  /** @param sentAt when the request was sent; undefined when it was given up before. */
  settle(outcome: Outcome | Unknown, sentAt: number | undefined): void
  /** An answer that comes after the request was given up, for those to whom it is of use. */
  settleLate?(outcome: Outcome | Unknown): void
}

/** What is sent as one batch. */
export interface Parcel<Outcome, Entry extends LockEntry = LockEntry> {
  /** ms. */
  readonly timeout: number
  /** Called once, as it is sent: the entries that are still wanted. With none nothing is sent. */
  take(): readonly Entry[]
  /**
   * Called once.
   *
   * @param outcomeOf by the index in what `take` returned.
   * @param sentAt when it was sent; undefined when it was given up before.
   */
  settle(outcomeOf: (index: number) => Outcome | Unknown, sentAt: number | undefined): void
  /** An answer that comes after it was given up, for those to whom it is of use. */
  settleLate?(outcomeOf: (index: number) => Outcome | Unknown): void
}

export interface OutboxParts {
  readonly backend: Backend
  readonly clock: Clock
  readonly scheduler: Alarms
  readonly tally: Tally
  readonly batchSize: number
}

/** The requests of one kind. `send` is the backend's method for that kind. */
export class Outbox<Outcome, Entry extends LockEntry = LockEntry> {
  readonly #parts: OutboxParts
  readonly #send: (entries: readonly Entry[]) => Promise<readonly (Outcome | Unknown)[]>
  #collected: (Entry & Request<Outcome>)[] = []
  #parcels: Parcel<Outcome, Entry>[] = []
  #underWay = 0
  #onIdle: (() => void)[] = []

  constructor(parts: OutboxParts, send: (entries: readonly Entry[]) => Promise<readonly (Outcome | Unknown)[]>) {
    this.#parts = parts
    this.#send = send
  }

  /** Resolves when every request has been settled. */
  idle(): Promise<void> {
    if (this.#isIdle()) return Promise.resolve()
    return new Promise((resolve) => {
      this.#onIdle.push(resolve)
    })
  }

  /** @returns whether a whole batch has been collected. */
  add(request: Entry & Request<Outcome>): boolean {
    return this.#collected.push(request) >= this.#parts.batchSize
  }

  addParcel(parcel: Parcel<Outcome, Entry>): void {
    this.#parcels.push(parcel)
  }

  /** Sends what has been collected, as soon as the backend can be asked. */
  flush(): void {
    const collected = this.#collected
    const parcels = this.#parcels
    this.#collected = []
    this.#parcels = []
    let start = 0
    for (let end = 1; end <= collected.length; end += 1) {
      const first = collected[start] as Request<Outcome>
      // A batch has one timeout; callers with another one go into another batch.
      if (end - start === this.#parts.batchSize || collected[end]?.timeout !== first.timeout) {
        this.#dispatch(new Collection(collected.slice(start, end)))
        start = end
      }
    }
    for (const parcel of parcels) this.#dispatch(parcel)
  }

  readonly #onSettled = (): void => {
    this.#underWay -= 1
    if (!this.#isIdle()) return
    const waiting = this.#onIdle
    this.#onIdle = []
    for (const resolve of waiting) resolve()
  }

  #isIdle(): boolean {
    return this.#underWay === 0 && this.#collected.length === 0 && this.#parcels.length === 0
  }

  #dispatch(parcel: Parcel<Outcome, Entry>): void {
    this.#underWay += 1
    const batch = new Batch(this.#parts, parcel, this.#onSettled)
    let ready: Promise<void> | undefined
    try {
      ready = this.#parts.backend.ready()
    } catch (error) {
      batch.fail(asError(error))
      return
    }
    if (ready === undefined) {
      void batch.send(this.#send)
      return
    }
    ready.then(
      () => batch.send(this.#send),
      (error: unknown) => batch.fail(asError(error)),
    )
  }
}

/** Requests that came from here and there. */
class Collection<Outcome, Entry extends Request<Outcome>> implements Parcel<Outcome, Entry> {
  readonly timeout: number
  #requests: readonly Entry[]

  constructor(requests: readonly Entry[]) {
    this.#requests = requests
    this.timeout = (requests[0] as Entry).timeout
  }

  take(): readonly Entry[] {
    // Most often there is one, or all of them are.
    if (!this.#requests.every(isWanted)) this.#requests = this.#requests.filter(isWanted)
    return this.#requests
  }

  settle(outcomeOf: (index: number) => Outcome | Unknown, sentAt: number | undefined): void {
    this.#requests.forEach((request, index) => request.settle(outcomeOf(index), sentAt))
  }

  settleLate(outcomeOf: (index: number) => Outcome | Unknown): void {
    this.#requests.forEach((request, index) => request.settleLate?.(outcomeOf(index)))
  }
}

class Batch<Outcome, Entry extends LockEntry> {
  readonly #parts: OutboxParts
  readonly #parcel: Parcel<Outcome, Entry>
  readonly #onSettled: () => void
  #alarm: Alarm
  #sentAt: number | undefined = undefined
  #settled = false

  constructor(parts: OutboxParts, parcel: Parcel<Outcome, Entry>, onSettled: () => void) {
    this.#parts = parts
    this.#parcel = parcel
    this.#onSettled = onSettled
    this.#alarm = parts.scheduler.after(parcel.timeout, this.#onTimeout)
  }

  async send(send: (entries: readonly Entry[]) => Promise<readonly (Outcome | Unknown)[]>): Promise<void> {
    if (this.#settled) return
    const entries = this.#parcel.take()
    if (entries.length === 0) {
      this.fail(NOT_WANTED)
      return
    }
    const { clock, tally } = this.#parts
    tally.requests += 1
    const sentAt = clock.now()
    this.#sentAt = sentAt
    try {
      const outcomes = await send(entries)
      tally.roundTrip.record(clock.now() - sentAt)
      const outcomeOf = (index: number): Outcome | Unknown => outcomes[index] ?? NO_OUTCOME
      if (this.#settled) this.#parcel.settleLate?.(outcomeOf)
      else this.#settle(outcomeOf)
    } catch (error) {
      this.fail(asError(error))
    }
  }

  fail(error: Error): void {
    const outcome = unknown(error)
    this.#settle(() => outcome)
  }

  readonly #onTimeout = ({ late }: Tick): void => {
    // The answer may have come while the event loop was blocked: let it be read first.
    if (late) this.#alarm = this.#parts.scheduler.after(0, this.#onTimeout)
    else this.fail(new UnavailableError(`The backend did not answer within ${this.#parcel.timeout} ms`))
  }

  #settle(outcomeOf: (index: number) => Outcome | Unknown): void {
    if (this.#settled) return
    this.#settled = true
    this.#alarm.cancel()
    try {
      this.#parcel.settle(outcomeOf, this.#sentAt)
    } finally {
      this.#onSettled()
    }
  }
}

const NOT_WANTED = new UnavailableError('Nobody wanted it any more')
const NO_OUTCOME = unknown(new UnavailableError('The backend gave no outcome for an entry'))

function isWanted({ wanted }: { readonly wanted: boolean }): boolean {
  return wanted
}

function unknown(error: Error): Unknown {
  return { type: 'unknown', error }
}
