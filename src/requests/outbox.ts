/**
 * Requests of one turn of the event loop travel together. The outbox collects them, cuts them into batches and sends these.
 * It settles each request exactly once, by its answer or by its timeout. Callers with many keys build their own batches.
 *
 * If the connection breaks under a batch, the outbox may send the batch once more, on the next connection and within the same timeout.
 *
 * If applying an outcome throws, the outbox reports the fault, and the entry counts as unanswered. All other entries get their outcome (P31).
 */
import type { Backend, LockEntry, Unknown } from '../backend.ts'
import type { Clock } from '../time/clock.ts'
import { asError } from '../as-error.ts'
import { isFinal, UnavailableError } from '../errors.ts'
import type { Alarm, Alarms } from '../time/scheduler.ts'
import { Bell } from './bell.ts'
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
}

/** Entries that are sent together. */
export interface Batch<Outcome, Entry extends LockEntry = LockEntry> {
  /** ms. */
  readonly timeout: number
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
  readonly tally: Tally
  readonly batchSize: number
  /** Applying an outcome threw. */
  readonly onFault: (fault: unknown) => void
}

type Send<Outcome, Entry> = (entries: readonly Entry[]) => Promise<readonly (Outcome | Unknown)[]>

/** Collects and sends the requests of one kind. */
export class Outbox<Outcome, Entry extends LockEntry = LockEntry> {
  readonly #parts: OutboxParts
  readonly #send: Send<Outcome, Entry>
  readonly #repeatable: boolean
  #collected: (Entry & Request<Outcome>)[] = []
  #batches: Batch<Outcome, Entry>[] = []
  #underWay = 0
  readonly #idle = new Bell()

  /** @param send the backend's method for that kind. @param repeatable whether a repeated request gets the same answer as the first one. */
  constructor(parts: OutboxParts, send: Send<Outcome, Entry>, repeatable: boolean) {
    this.#parts = parts
    this.#send = send
    this.#repeatable = repeatable
  }

  /** Resolves once every request is settled. */
  idle(): Promise<void> {
    if (this.#isIdle()) return Promise.resolve()
    return this.#idle.next()
  }

  /** @returns whether the collected requests fill a batch. */
  add(request: Entry & Request<Outcome>): boolean {
    return this.#collected.push(request) >= this.#parts.batchSize
  }

  addBatch(batch: Batch<Outcome, Entry>): void {
    this.#batches.push(batch)
  }

  /** Sends the collected requests, as soon as the backend can be asked. */
  flush(): void {
    const collected = this.#collected
    const batches = this.#batches
    this.#collected = []
    this.#batches = []
    let start = 0
    for (let end = 1; end <= collected.length; end += 1) {
      const first = collected[start] as Request<Outcome>
      // A batch has one timeout: a request with another one starts another batch.
      if (end - start === this.#parts.batchSize || collected[end]?.timeout !== first.timeout) {
        this.#dispatch(new CollectedBatch(collected.slice(start, end)))
        start = end
      }
    }
    for (const batch of batches) this.#dispatch(batch)
  }

  readonly #onSettled = (): void => {
    this.#underWay -= 1
    if (this.#isIdle()) this.#idle.ring()
  }

  #isIdle(): boolean {
    return this.#underWay === 0 && this.#collected.length === 0 && this.#batches.length === 0
  }

  #dispatch(batch: Batch<Outcome, Entry>): void {
    this.#underWay += 1
    new Sending(this.#parts, batch, this.#send, this.#repeatable, this.#onSettled).begin()
  }
}

/** A batch of single requests. */
class CollectedBatch<Outcome, Entry extends Request<Outcome>> implements Batch<Outcome, Entry> {
  readonly timeout: number
  #requests: readonly Entry[]

  constructor(requests: readonly Entry[]) {
    this.#requests = requests
    this.timeout = (requests[0] as Entry).timeout
  }

  get size(): number {
    return this.#requests.length
  }

  take(): readonly Entry[] {
    // Usually there is one request, or all are wanted.
    if (!this.#requests.every(isWanted)) this.#requests = this.#requests.filter(isWanted)
    return this.#requests
  }

  takeAgain(outcome: Unknown, sentAt: number): readonly Entry[] {
    for (const request of this.#requests) if (!request.wanted) request.settle(outcome, sentAt, undefined)
    return this.take()
  }

  settle(index: number, outcome: Outcome | Unknown, sentAt?: number, unansweredAt?: number): void {
    this.#requests[index]?.settle(outcome, sentAt, unansweredAt)
  }

  settleFaulty(index: number, outcome: Unknown, sentAt?: number, unansweredAt?: number): void {
    const request = this.#requests[index]
    if (request?.wanted) request.settle(outcome, sentAt, unansweredAt)
  }

  settleLate(index: number, outcome: Outcome | Unknown): void {
    this.#requests[index]?.settleLate?.(outcome)
  }
}

class Sending<Outcome, Entry extends LockEntry> {
  readonly #parts: OutboxParts
  readonly #batch: Batch<Outcome, Entry>
  readonly #send: Send<Outcome, Entry>
  readonly #onSettled: () => void
  #repeatable: boolean
  #alarm: Alarm | undefined = undefined
  #sentAt: number | undefined = undefined
  #unansweredAt: number | undefined = undefined
  /** Why the batch is sent once more. */
  #fault: Error | undefined = undefined
  #settled = false

  constructor(
    parts: OutboxParts,
    batch: Batch<Outcome, Entry>,
    send: Send<Outcome, Entry>,
    repeatable: boolean,
    onSettled: () => void,
  ) {
    this.#parts = parts
    this.#batch = batch
    this.#send = send
    this.#repeatable = repeatable
    this.#onSettled = onSettled
  }

  /** Sends the batch as soon as the backend can be asked. */
  begin(): void {
    const { scheduler, backend } = this.#parts
    try {
      this.#alarm = scheduler.after(this.#batch.timeout, () => this.#onTimeout())
      const ready = backend.ready()
      if (ready === undefined) void this.#ask()
      else this.#askWhen(ready)
    } catch (error) {
      this.#fail(asError(error))
    }
  }

  #askWhen(ready: Promise<void>): void {
    ready.then(
      () => this.#ask(),
      (error: unknown) => this.#fail(asError(error)),
    )
  }

  async #ask(): Promise<void> {
    if (this.#settled) return
    const { clock, tally, onFault } = this.#parts
    try {
      const entries = this.#take()
      if (entries.length === 0) {
        this.#fail(NOT_WANTED)
        return
      }
      tally.requests += 1
      const sentAt = clock.now()
      this.#unansweredAt = this.#sentAt
      this.#sentAt = sentAt
      let outcomes: readonly (Outcome | Unknown)[]
      try {
        outcomes = await this.#send(entries)
      } catch (error) {
        this.#fail(asError(error))
        return
      }
      const now = clock.now()
      tally.measure('roundTrip', now - sentAt, now)
      if (this.#settled) this.#settleLate(outcomes)
      else if (!this.#repeat(outcomes)) this.#settle((index) => outcomes[index] ?? NO_OUTCOME)
    } catch (fault) {
      onFault(fault)
      this.#fail(asError(fault))
    }
  }

  #take(): readonly Entry[] {
    const batch = this.#batch
    if (this.#fault === undefined || this.#sentAt === undefined) return batch.take()
    return batch.takeAgain?.(unknown(this.#fault), this.#sentAt) ?? []
  }

  /** Waits for another connection if this one broke before any answer. @returns whether it waits. */
  #repeat(outcomes: readonly (Outcome | Unknown)[]): boolean {
    const [first] = outcomes
    if (!this.#repeatable || !isUnknown(first) || isFinal(first.error) || !outcomes.every(isUnknown)) return false
    const ready = this.#parts.backend.ready()
    if (ready === undefined) return false
    this.#repeatable = false
    this.#fault = first.error
    this.#askWhen(ready)
    return true
  }

  #onTimeout(): void {
    this.#fail(unanswered(`within ${this.#batch.timeout} ms`, this.#fault ?? this.#parts.backend.fault))
  }

  #fail(error: Error): void {
    const outcome = unknown(error)
    this.#settle(() => outcome)
  }

  #settle(outcomeOf: (index: number) => Outcome | Unknown): void {
    if (this.#settled) return
    this.#settled = true
    const batch = this.#batch
    const { onFault } = this.#parts
    try {
      this.#alarm?.cancel()
      for (let index = 0; index < batch.size; index += 1) {
        try {
          batch.settle(index, outcomeOf(index), this.#sentAt, this.#unansweredAt)
        } catch (fault) {
          this.#settleFaulty(index, fault)
        }
      }
      batch.finish?.()
    } catch (fault) {
      onFault(fault)
    } finally {
      this.#onSettled()
    }
  }

  #settleFaulty(index: number, fault: unknown): void {
    const { onFault } = this.#parts
    onFault(fault)
    try {
      this.#batch.settleFaulty(index, unknown(asError(fault)), this.#sentAt, this.#unansweredAt)
    } catch (another) {
      onFault(another)
    }
  }

  #settleLate(outcomes: readonly (Outcome | Unknown)[]): void {
    const batch = this.#batch
    if (batch.settleLate === undefined) return
    for (let index = 0; index < batch.size; index += 1) {
      try {
        batch.settleLate(index, outcomes[index] ?? NO_OUTCOME)
      } catch (fault) {
        this.#parts.onFault(fault)
      }
    }
  }
}

/** @param when how long the caller waited, in words. @param cause why there was no answer, if that is known. */
export function unanswered(when: string, cause: Error | undefined): UnavailableError {
  const message = `The backend did not answer ${when}`
  return new UnavailableError(cause ? `${message}: ${cause.message}` : message, undefined, { cause })
}

const NOT_WANTED = new UnavailableError('The caller stopped waiting before the request was sent')
const NO_OUTCOME = unknown(new UnavailableError('The backend gave no outcome for an entry'))

function isWanted({ wanted }: { readonly wanted: boolean }): boolean {
  return wanted
}

function isUnknown(outcome: unknown): outcome is Unknown {
  return typeof outcome === 'object' && outcome !== null && 'type' in outcome && outcome.type === 'unknown'
}

function unknown(error: Error): Unknown {
  return { type: 'unknown', error }
}
