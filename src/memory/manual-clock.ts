/** A clock for tests, which stands still until a test moves it. */
import { type Clock, settled, type Timer } from '../time/clock.ts'

interface Appointment {
  readonly due: number
  readonly callback: () => void
}

/** A clock that only `advance` and `jump` move. Pass the same one to the manager and to a `MemoryStore`, or one to each to let them drift apart. */
export class ManualClock implements Clock {
  #now: number
  readonly #appointments = new Set<Appointment>()

  /** @param now the first time, in ms. Default 1,000,000. */
  constructor(now = 1_000_000) {
    this.#now = now
  }

  now(): number {
    return this.#now
  }

  /** The number of timers that are set. */
  get timers(): number {
    return this.#appointments.size
  }

  setTimer(callback: () => void, delay: number): Timer {
    const appointment = { due: this.#now + Math.max(delay, 0), callback }
    this.#appointments.add(appointment)
    return { cancel: () => this.#appointments.delete(appointment) }
  }

  soon(callback: () => void): void {
    // No library of fake timers replaces promises.
    void Promise.resolve().then(callback)
  }

  /**
   * Advances the time by `duration` ms. It stops at each timer on the way, to let the timer and everything that follows from
   * it happen. Resolves once nothing more happens.
   */
  async advance(duration: number): Promise<void> {
    const end = this.#now + duration
    await this.settle()
    for (let next = this.#next(end); next !== undefined; next = this.#next(end)) {
      this.#now = Math.max(next.due, this.#now)
      this.#appointments.delete(next)
      next.callback()
      await this.settle()
    }
    // A callback may have called `jump`.
    this.#now = Math.max(end, this.#now)
    await this.settle()
  }

  /** Advances the time by `duration` ms and lets nothing happen, like a blocked event loop or a stopped process. */
  jump(duration: number): void {
    this.#now += duration
  }

  /** Resolves once everything that needs no time has happened. */
  settle(): Promise<void> {
    return settled()
  }

  #next(end: number): Appointment | undefined {
    let next: Appointment | undefined
    for (const appointment of this.#appointments) {
      if (appointment.due <= end && (next === undefined || appointment.due < next.due)) next = appointment
    }
    return next
  }
}
