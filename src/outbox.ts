/**
 * What is asked in one turn of the event loop travels together: requests are collected, cut into batches, sent, and each
 * is settled exactly once, by its answer or by its timeout. May import the port, the clock, the scheduler and errors.
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
}

export interface OutboxParts {
  readonly backend: Backend
  readonly clock: Clock
  readonly scheduler: Alarms
  readonly tally: Tally
  readonly batchSize: number
}

/** The requests of one kind. `send` is the backend's method for that kind. */
export class Outbox<Outcome, R extends Request<Outcome> = Request<Outcome>> {
  readonly #parts: OutboxParts
  readonly #send: (requests: readonly R[]) => Promise<readonly (Outcome | Unknown)[]>
  #collected: R[] = []
  #underWay = 0
  #onIdle: (() => void)[] = []

  constructor(parts: OutboxParts, send: (requests: readonly R[]) => Promise<readonly (Outcome | Unknown)[]>) {
    this.#parts = parts
    this.#send = send
  }

  /** Resolves when every request has been settled. */
  idle(): Promise<void> {
    if (this.#underWay === 0 && this.#collected.length === 0) return Promise.resolve()
    return new Promise((resolve) => {
      this.#onIdle.push(resolve)
    })
  }

  add(request: R): void {
    this.#collected.push(request)
  }

  /** Sends what has been collected, as soon as the backend can be asked. */
  flush(): void {
    const collected = this.#collected
    this.#collected = []
    let start = 0
    for (let end = 1; end <= collected.length; end += 1) {
      const first = collected[start] as R
      // A batch has one timeout; callers with another one go into another batch.
      if (end - start === this.#parts.batchSize || collected[end]?.timeout !== first.timeout) {
        this.#underWay += 1
        this.#dispatch(new Batch(this.#parts, collected.slice(start, end), this.#onSettled))
        start = end
      }
    }
  }

  readonly #onSettled = (): void => {
    this.#underWay -= 1
    if (this.#underWay > 0 || this.#collected.length > 0) return
    const waiting = this.#onIdle
    this.#onIdle = []
    for (const resolve of waiting) resolve()
  }

  #dispatch(batch: Batch<Outcome, R>): void {
    const ready = this.#parts.backend.ready()
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

class Batch<Outcome, R extends Request<Outcome>> {
  readonly #parts: OutboxParts
  #requests: readonly R[]
  readonly #timeout: number
  readonly #onSettled: () => void
  #alarm: Alarm
  #sentAt: number | undefined = undefined
  #settled = false

  constructor(parts: OutboxParts, requests: readonly R[], onSettled: () => void) {
    this.#parts = parts
    this.#requests = requests
    this.#onSettled = onSettled
    this.#timeout = (requests[0] as R).timeout
    this.#alarm = parts.scheduler.after(this.#timeout, this.#onTimeout)
  }

  async send(send: (requests: readonly R[]) => Promise<readonly (Outcome | Unknown)[]>): Promise<void> {
    if (this.#settled) return
    this.#requests = this.#requests.filter((request) => request.wanted)
    if (this.#requests.length === 0) {
      this.#settle(() => NOT_SENT)
      return
    }
    const { clock, tally } = this.#parts
    tally.requests += 1
    const sentAt = clock.now()
    this.#sentAt = sentAt
    try {
      const outcomes = await send(this.#requests)
      tally.roundTrip.record(clock.now() - sentAt)
      this.#settle(
        (index) => outcomes[index] ?? unknown(new UnavailableError('The backend gave no outcome for an entry')),
      )
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
    else this.fail(new UnavailableError(`The backend did not answer within ${this.#timeout} ms`))
  }

  #settle(outcomeOf: (index: number) => Outcome | Unknown): void {
    if (this.#settled) return
    this.#settled = true
    this.#alarm.cancel()
    this.#requests.forEach((request, index) => {
      request.settle(outcomeOf(index), this.#sentAt)
    })
    this.#onSettled()
  }
}

const NOT_SENT = unknown(new UnavailableError('Nobody wanted it any more'))

function unknown(error: Error): Unknown {
  return { type: 'unknown', error }
}
