/**
 * Renewals that are on their way, and how many more may be. A batch that was given up does not keep others from being sent for long: it counts
 * less, as the server may still have to answer it first.
 */
import { CongestionWindow } from '../rules/congestion-window.ts'
import type { Clock } from '../time/clock.ts'
import type { RenewalBatch } from './renewal-batch.ts'

export class BatchesUnderWay {
  readonly window: CongestionWindow = new CongestionWindow()
  readonly #clock: Clock
  /** Sent, and neither answered nor given up. */
  #count = 0
  /** Given up, but not answered, and until when they count. */
  readonly #overdue = new Map<RenewalBatch, number>()

  constructor(clock: Clock) {
    this.#clock = clock
  }

  /** Whether another may be sent now. */
  get hasRoom(): boolean {
    if (this.#overdue.size > 0) {
      const now = this.#clock.now()
      for (const [batch, until] of this.#overdue) if (now >= until) this.#overdue.delete(batch)
    }
    return this.#count < this.window.limit(this.#overdue.size)
  }

  add(): void {
    this.#count += 1
  }

  onAnswered(batch: RenewalBatch): void {
    this.#overdue.delete(batch)
  }

  /** It is answered, or given up. */
  end(batch: RenewalBatch): void {
    batch.alarm?.cancel()
    if (batch.over) return
    batch.over = true
    this.#count -= 1
  }

  /** It is not waited for any more, so that a hung server keeps nobody from being asked. */
  giveUp(batch: RenewalBatch): void {
    // By then its leases have ended, or have been renewed by another request.
    if (!batch.over) this.#overdue.set(batch, batch.sentAt + (batch.cohorts[0]?.terms.ttl ?? 0))
    this.end(batch)
  }

  /** What was asked through another connection, or of another server, keeps nobody waiting any more. */
  forgetOverdue(): void {
    this.#overdue.clear()
  }
}
