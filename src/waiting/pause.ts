/** A pause of one waiter. It ends at its time, or when something happens. */
import type { Alarm, Alarms } from '../time/scheduler.ts'

export class Pause {
  readonly #alarms: Alarms
  #onEnd: ((elapsed: boolean) => void) | undefined
  #alarm: Alarm | undefined

  constructor(alarms: Alarms) {
    this.#alarms = alarms
  }

  get active(): boolean {
    return this.#onEnd !== undefined
  }

  /** Begins at once. @param duration ms, or Infinity. @returns whether all of that time passed. */
  rest(duration: number): Promise<boolean> {
    return new Promise((resolve) => {
      this.#onEnd = resolve
      this.reset(duration)
    })
  }

  /** Makes the pause last `duration` ms from now; does nothing if none is active. */
  reset(duration: number): void {
    if (!this.active) return
    this.#alarm?.cancel()
    this.#alarm =
      duration === Number.POSITIVE_INFINITY ? undefined : this.#alarms.after(duration, () => this.#end(true))
  }

  /** Ends the pause early; does nothing if none is active. */
  end(): void {
    this.#end(false)
  }

  #end(elapsed: boolean): void {
    const onEnd = this.#onEnd
    this.#onEnd = undefined
    this.#alarm?.cancel()
    this.#alarm = undefined
    onEnd?.(elapsed)
  }
}
