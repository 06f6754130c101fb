/** A clock that stands still until it is told to move, for tests. */
import { type Clock, settled, type Timer } from '../time/clock.ts'

interface Appointment {
  readonly due: number
  readonly callback: () => void
}

/** Time that only `advance` moves. Give the same one to the manager and to a `MemoryStore`, or one to each to let them drift apart. */
export class ManualClock implements Clock {
  #now: number
  readonly #appointments = new Set<Appointment>()

  /** @param now where it starts, in ms. Default 1,000,000. */
  constructor(now = 1_000_000) {
    this.#now = now
  }

  now(): number {
    return this.#now
  }

  /** Timers that are set. */
  get timers(): number {
    return this.#appointments.size
  }

  setTimer(callback: () => void, delay: number): Timer {
    const appointment = { due: this.#now + Math.max(delay, 0), callback }
    this.#appointments.add(appointment)
    return { cancel: () => this.#appointments.delete(appointment) }
  }

  soon(callback: () => void): void {
    // A promise is what no library of fake timers replaces.
    void Promise.resolve().then(callback)
  }

  /**
   * Moves the time on by `duration` ms, stopping at each timer on the way to let it and everything that follows from it
   * happen. Resolves when all is quiet.
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
    // A callback may have made it jump.
    this.#now = Math.max(end, this.#now)
    await this.settle()
  }

  /** Moves the time on by `duration` ms without letting anything happen: a blocked event loop, a stopped process. */
  jump(duration: number): void {
    this.#now += duration
  }

  /** Lets everything happen that needs no time. */
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
