/**
 * Requests of one turn of the event loop travel together. The outbox collects them, cuts them into batches and sends these.
 * It settles each request exactly once, by its answer or by its timeout. Callers with many keys build their own batches.
 *
 * If the connection breaks under a batch, the outbox may send the batch once more, on the next connection and within the same timeout.
 *
 * If applying an outcome throws, the outbox reports the fault, and the entry counts as unanswered. All other entries get their outcome (P31).
 */
import type { LockEntry, Unknown } from '../backend.ts'
import type { Batch, OutboxParts, Request, Send } from './batch.ts'
import { Bell } from './bell.ts'
import { byPlace } from './place-order.ts'
import { Sending } from './sending.ts'

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
    const { routing } = this.#parts
    // Each request to a server has one timeout, and the keys of that server.
    if (routing === undefined) this.#cut(collected)
    else for (const some of byPlace(collected, routing)) this.#cut(some)
    for (const batch of batches) this.#dispatch(batch)
  }

  #cut(requests: readonly (Entry & Request<Outcome>)[]): void {
    let start = 0
    for (let end = 1; end <= requests.length; end += 1) {
      const first = requests[start] as Request<Outcome>
      // A batch has one timeout: a request with another one starts another batch.
      if (end - start === this.#parts.batchSize || requests[end]?.timeout !== first.timeout) {
        this.#dispatch(new CollectedBatch(requests.slice(start, end)))
        start = end
      }
    }
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

  get first(): Entry | undefined {
    return this.#requests[0]
  }

  get size(): number {
    return this.#requests.length
  }

  take(): readonly Entry[] {
    return this.#takeWanted((request) => request.drop?.())
  }

  takeAgain(outcome: Unknown, sentAt: number): readonly Entry[] {
    return this.#takeWanted((request) => request.settle(outcome, sentAt, undefined))
  }

  #takeWanted(onUnwanted: (request: Entry) => void): readonly Entry[] {
    const all = this.#requests
    // Usually there is one request, or all are wanted.
    if (all.every(isWanted)) return all
    this.#requests = all.filter(isWanted)
    for (const request of all) if (!request.wanted) onUnwanted(request)
    return this.#requests
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

function isWanted({ wanted }: { readonly wanted: boolean }): boolean {
  return wanted
}
