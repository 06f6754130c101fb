/**
 * Guards a user's clock: if that throws, the fault is reported, and time goes on (P22, P31).
 */
import { type Clock, SystemClock, type Timer } from './clock.ts'

export class GuardedClock implements Clock {
  readonly #clock: Clock
  readonly #onFault: (fault: unknown) => void
  /** Replaces a call of the user's clock that has thrown. */
  readonly #substitute = new SystemClock()
  #last = 0

  /** @param onFault called with whatever the clock throws. */
  constructor(clock: Clock, onFault: (fault: unknown) => void) {
    this.#clock = clock
    this.#onFault = onFault
  }

  now(): number {
    try {
      this.#last = this.#clock.now()
    } catch (fault) {
      this.#onFault(fault)
    }
    return this.#last
  }

  setTimer(callback: () => void, delay: number): Timer {
    try {
      return this.#clock.setTimer(callback, delay)
    } catch (fault) {
      this.#onFault(fault)
      return this.#substitute.setTimer(callback, delay)
    }
  }

  soon(callback: () => void): void {
    try {
      this.#clock.soon(callback)
    } catch (fault) {
      this.#onFault(fault)
      this.#substitute.soon(callback)
    }
  }
}
