/**
 * Measures whether renewals keep up: how long they wait to be sent, and how many the server confirms meanwhile.
 *
 *     keeping up ──one has waited for a sixth of its ttl: it is sent when half of it is over──▶ overloaded (told at once, then every second)
 *     overloaded ──a second in which none has waited for so long──▶ keeping up (told)
 */
import type { LoadReport } from '../stats.ts'
import type { Clock } from '../time/clock.ts'
import type { Alarm, Alarms } from '../time/scheduler.ts'

/** Fraction of a ttl. A renewal is due at a third of its ttl; if it waits this long, it is sent at half of it. */
const LONGEST_WAIT = 1 / 6
/** ms. If renewals have waited for so long without a break, calls for many keys let them pass. */
const PRESSED_AFTER = 100
/** ms between two reports. */
const INTERVAL = 1_000

export interface LoadMeterParts {
  readonly clock: Clock
  readonly scheduler: Alarms
  /** The leases whose renewals wait, and the renewals per second that all leases need. */
  readonly survey: () => Pick<LoadReport, 'behind' | 'demand'>
  readonly tell: (report: LoadReport) => void
}

export class LoadMeter {
  readonly #parts: LoadMeterParts
  /** Since when renewals have been waiting; undefined while none waits. */
  #busySince: number | undefined
  /** The renewal that is sent next: since when it waits, and its ttl. */
  #next: { readonly since: number; readonly ttl: number } | undefined
  /** Since when there has always been one that waits. */
  #waitingSince = Number.POSITIVE_INFINITY
  #confirmed = 0
  #capacity = 0
  /** The longest wait since the last report, and between the two before, as fractions of the ttl. */
  #lag = 0
  #lastLag = 0
  #alarm: Alarm | undefined

  constructor(parts: LoadMeterParts) {
    this.#parts = parts
  }

  get report(): LoadReport {
    const { behind, demand } = this.#parts.survey()
    return {
      lag: this.lag,
      behind,
      demand,
      capacity: this.capacity,
      overloaded: this.overloaded,
    }
  }

  /** The longest wait within the last second or two, as a fraction of the ttl. */
  get lag(): number {
    return Math.max(this.#lag, this.#lastLag)
  }

  /** Renewals per second, as last measured. */
  get capacity(): number {
    return this.#capacity
  }

  get overloaded(): boolean {
    return this.#alarm !== undefined
  }

  /** Whether renewals wait to be sent. */
  get behind(): boolean {
    return this.#next !== undefined
  }

  /** Whether renewals have waited for so long, one or another, that nobody should ask for more locks. */
  get pressed(): boolean {
    return this.#parts.clock.now() - this.#waitingSince >= PRESSED_AFTER
  }

  onConfirmed(count: number): void {
    this.#confirmed += count
  }

  /** The congestion window is full, and the next renewal has waited this long (ms). */
  onWaiting(waited: number, ttl: number): void {
    if (this.#busySince === undefined) this.#startCounting()
    const now = this.#parts.clock.now()
    this.#waitingSince = Math.min(this.#waitingSince, now)
    this.#next = { since: now - waited, ttl }
    this.onWaited(waited, ttl)
  }

  /** No renewal waits any more. */
  onIdle(): void {
    this.#busySince = undefined
    this.#next = undefined
    this.#waitingSince = Number.POSITIVE_INFINITY
  }

  /** A renewal has waited this long (ms) to be sent. */
  onWaited(waited: number, ttl: number): void {
    this.#lag = Math.max(this.#lag, waited / ttl)
    if (this.#lag < LONGEST_WAIT || this.#alarm) return
    this.#measure()
    this.#watch()
    // In a turn of its own: the meter runs while renewals are sent, and a listener may end their leases.
    this.#parts.clock.soon(() => this.#parts.tell(this.report))
  }

  /** Measures nothing any more. */
  close(): void {
    this.#alarm?.cancel()
    this.#alarm = undefined
  }

  #watch(): void {
    this.#alarm = this.#parts.scheduler.after(INTERVAL, () => {
      this.#alarm = undefined
      this.#measure()
      // If no renewal was sent since, the next one has gone on waiting.
      if (this.#next) {
        this.#lag = Math.max(this.#lag, (this.#parts.clock.now() - this.#next.since) / this.#next.ttl)
      }
      if (this.#lag >= LONGEST_WAIT) this.#watch()
      this.#lastLag = this.#lag
      this.#lag = 0
      this.#parts.tell(this.report)
    })
  }

  #measure(): void {
    if (this.#busySince === undefined) return
    const elapsed = this.#parts.clock.now() - this.#busySince
    if (elapsed > 0) this.#capacity = (this.#confirmed / elapsed) * 1_000
    this.#startCounting()
  }

  #startCounting(): void {
    this.#busySince = this.#parts.clock.now()
    this.#confirmed = 0
  }
}
