/**
 * One batch on its way: it leaves as soon as the backend can be asked, is settled once, by its answer or its timeout, and may be sent once more.
 *
 *     waiting for its server ──ready──▶ sent ──answered, refused or overdue──▶ settled
 *          ▲   └──its keys belong to another server by now──▶ waiting for that one
 *          └──the connection broke before any answer, for the first time
 *
 * If there are several servers, the keys of a batch belong to one, as far as the manager knew when it built the batch. If some belong to another
 * by now, each server gets its part.
 */
import type { LockEntry, Routing, Unknown } from '../backend.ts'
import { asError } from '../as-error.ts'
import { isFinal, UnavailableError } from '../errors.ts'
import type { Alarm } from '../time/scheduler.ts'
import type { Batch, OutboxParts, Send } from './batch.ts'
import { unanswered } from './unanswered.ts'

export class Sending<Outcome, Entry extends LockEntry> {
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
  /** Where it was sent, or waits to be sent. */
  #route: number | undefined
  /** The answers so far, if several servers got a part. */
  #answers: readonly (Outcome | Unknown | undefined)[] | undefined

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
    const { scheduler } = this.#parts
    try {
      this.#alarm = scheduler.after(this.#batch.timeout, () => this.#onTimeout())
      this.#askWhenReady()
    } catch (error) {
      this.#fail(asError(error))
    }
  }

  #askWhenReady(): void {
    this.#route = this.#routeNow()
    const ready = this.#parts.backend.ready(this.#route)
    if (ready === undefined) void this.#ask()
    else this.#askWhen(ready)
  }

  #askWhen(ready: Promise<void>): void {
    ready.then(
      () => this.#onReady(() => void this.#ask()),
      (error: unknown) => this.#onReady(() => this.#fail(asError(error))),
    )
  }

  /** The server that the batch waited for can be asked, or cannot. By now the keys may belong to another. */
  #onReady(goOn: () => void): void {
    if (this.#settled) return
    try {
      if (this.#routeNow() === this.#route) goOn()
      else this.#askWhenReady()
    } catch (error) {
      this.#fail(asError(error))
    }
  }

  #routeNow(): number | undefined {
    const { routing } = this.#parts
    const { first } = this.#batch
    return routing && first && routing.routeOf(routing.placeOf(first.key))
  }

  async #ask(): Promise<void> {
    if (this.#settled) return
    const { clock, tally, routing, onFault } = this.#parts
    this.#answers = undefined
    try {
      const entries = this.#take()
      if (entries.length === 0) {
        this.#fail(NOT_WANTED)
        return
      }
      const sentAt = clock.now()
      this.#unansweredAt = this.#sentAt
      this.#sentAt = sentAt
      let outcomes: readonly (Outcome | Unknown)[]
      try {
        const parts = routing && partsOf(entries, routing)
        if (parts && parts.size > 1) {
          outcomes = await this.#sendParts(entries.length, parts)
        } else {
          tally.requests += 1
          outcomes = await this.#send(entries)
          const now = clock.now()
          tally.onAnswered(now - sentAt, now, this.#route)
        }
      } catch (error) {
        this.#fail(asError(error))
        return
      }
      if (this.#settled) this.#settleLate(outcomes)
      else if (!this.#repeat(outcomes)) this.#settle(outcomes)
    } catch (fault) {
      onFault(fault)
      this.#fail(asError(fault))
    }
  }

  /** Some keys have changed servers since the batch was built: each server gets its part, and answers for itself. */
  async #sendParts(size: number, parts: ReadonlyMap<number, Part<Entry>>): Promise<readonly (Outcome | Unknown)[]> {
    const { clock, tally } = this.#parts
    const answers = Array.from<Outcome | Unknown>({ length: size }).fill(NO_OUTCOME)
    const answered: (Outcome | Unknown | undefined)[] = []
    this.#answers = answered
    const send = async (route: number, { entries, indices }: Part<Entry>): Promise<void> => {
      const sentAt = clock.now()
      tally.requests += 1
      let outcomes: readonly (Outcome | Unknown)[]
      try {
        outcomes = await this.#send(entries)
        const now = clock.now()
        tally.onAnswered(now - sentAt, now, route)
      } catch (error) {
        const outcome = unknown(asError(error))
        outcomes = entries.map(() => outcome)
      }
      for (const [position, index] of indices.entries()) {
        const outcome = outcomes[position] ?? NO_OUTCOME
        answers[index] = outcome
        answered[index] = outcome
      }
    }
    await Promise.all([...parts].map(([route, part]) => send(route, part)))
    return answers
  }

  #take(): readonly Entry[] {
    const batch = this.#batch
    if (this.#fault === undefined || this.#sentAt === undefined) return batch.take()
    return batch.takeAgain?.(unknown(this.#fault), this.#sentAt) ?? []
  }

  /** Waits for another connection if this one broke before any answer. @returns whether it waits. */
  #repeat(outcomes: readonly (Outcome | Unknown)[]): boolean {
    const [first] = outcomes
    if (!this.#repeatable || !isUnknown(first) || isFinal(first.error) || !outcomes.every(isRepeatable)) return false
    const route = this.#routeNow()
    const ready = this.#parts.backend.ready(route)
    const hasMoved = route !== this.#route
    if (ready === undefined && !hasMoved) return false
    this.#repeatable = false
    this.#fault = first.error
    this.#route = route
    if (ready === undefined) void this.#ask()
    else this.#askWhen(ready)
    return true
  }

  #onTimeout(): void {
    const { backend, routing } = this.#parts
    const fault = this.#route === undefined ? undefined : routing?.faultOf(this.#route)
    const cause = this.#fault ?? fault ?? backend.fault
    this.#fail(unanswered(`The backend did not answer within ${this.#batch.timeout} ms`, cause))
  }

  #fail(error: Error): void {
    this.#settle(this.#answers, unknown(error))
  }

  /** @param other the outcome of each entry without one of its own. */
  #settle(outcomes: readonly (Outcome | Unknown | undefined)[] | undefined, other: Unknown = NO_OUTCOME): void {
    if (this.#settled) return
    this.#settled = true
    const batch = this.#batch
    const { onFault } = this.#parts
    try {
      this.#alarm?.cancel()
      for (let index = 0; index < batch.size; index += 1) {
        try {
          batch.settle(index, outcomes?.[index] ?? other, this.#sentAt, this.#unansweredAt)
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

/** The entries for one server, and their indices in the batch. */
interface Part<Entry> {
  readonly entries: Entry[]
  readonly indices: number[]
}

function partsOf<Entry extends LockEntry>(entries: readonly Entry[], routing: Routing): Map<number, Part<Entry>> {
  const parts = new Map<number, Part<Entry>>()
  for (const [index, entry] of entries.entries()) {
    const route = routing.routeOf(routing.placeOf(entry.key))
    const part = parts.get(route) ?? { entries: [], indices: [] }
    parts.set(route, part)
    part.entries.push(entry)
    part.indices.push(index)
  }
  return parts
}

const NOT_WANTED = new UnavailableError('The caller stopped waiting before the request was sent')
const NO_OUTCOME = unknown(new UnavailableError('The backend gave no outcome for an entry'))

function isUnknown(outcome: unknown): outcome is Unknown {
  return typeof outcome === 'object' && outcome !== null && 'type' in outcome && outcome.type === 'unknown'
}

/** A backend that has begun to give a key back must not be asked for it with the same token. */
function isRepeatable(outcome: unknown): boolean {
  return isUnknown(outcome) && !outcome.givenBack
}

function unknown(error: Error): Unknown {
  return { type: 'unknown', error }
}
