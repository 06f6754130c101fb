/**
 * The batches of renewals on their way, and how many more may be sent. A batch that was given up still counts for a while, because the server may
 * have to answer it first, but it does not block others.
 */
import { CongestionWindow } from '../rules/congestion-window.ts'
import type { Clock } from '../time/clock.ts'
import type { Alarm } from '../time/scheduler.ts'

/** A batch that was sent. */
interface Sent {
  readonly sentAt: number
  readonly cohorts: readonly { readonly terms: { readonly ttl: number } }[]
  readonly alarm: Alarm | undefined
  over: boolean
}

export class BatchesUnderWay {
  readonly window: CongestionWindow = new CongestionWindow()
  readonly #clock: Clock
  readonly #mostInTurn: number
  /** Batches that are sent, and neither answered nor given up. */
  #count = 0
  /** Places of the batches that were sent in this turn of the event loop. */
  #inTurn = 0
  /** Batches that were given up and not answered, and until when each counts. */
  readonly #overdue = new Map<Sent, number>()

  /** @param mostInTurn once batches with so many places were sent in one turn of the event loop, the next ones wait for another. */
  constructor(clock: Clock, mostInTurn: number) {
    this.#clock = clock
    this.#mostInTurn = mostInTurn
  }

  /** Whether another batch may be sent now. */
  get hasRoom(): boolean {
    if (this.#overdue.size > 0) {
      const now = this.#clock.now()
      for (const [batch, until] of this.#overdue) if (now >= until) this.#overdue.delete(batch)
    }
    return this.#count < this.window.limit(this.#overdue.size)
  }

  /** Whether no batch is on its way that somebody waits for. */
  get isIdle(): boolean {
    return this.#count === 0
  }

  /** Whether enough was sent in this turn of the event loop. */
  get isTurnFull(): boolean {
    return this.#inTurn >= this.#mostInTurn
  }

  beginTurn(): void {
    this.#inTurn = 0
  }

  /** @param places how many of them the batch has. */
  add(places: number): void {
    this.#count += 1
    this.#inTurn += places
  }

  onAnswered(batch: Sent): void {
    this.#overdue.delete(batch)
  }

  /** The batch is answered, or given up. */
  end(batch: Sent): void {
    batch.alarm?.cancel()
    if (batch.over) return
    batch.over = true
    this.#count -= 1
  }

  /** Stops waiting for a batch, so that a hung server does not block all others. */
  giveUp(batch: Sent): void {
    // After a ttl its leases have ended, or another batch has renewed them.
    if (!batch.over) this.#overdue.set(batch, batch.sentAt + (batch.cohorts[0]?.terms.ttl ?? 0))
    this.end(batch)
  }

  /** There is another connection, or another server: old batches do not delay new ones any more. */
  forgetOverdue(): void {
    this.#overdue.clear()
  }
}
