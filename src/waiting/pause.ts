/** A rest of one caller: ends when its time has come, or when something happens. */
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

  /** Begins, at once. @param duration ms, or Infinity. @returns whether all of that time went by. */
  rest(duration: number): Promise<boolean> {
    return new Promise((resolve) => {
      this.#onEnd = resolve
      this.reset(duration)
    })
  }

  /** Lasts `duration` ms from now; does nothing if there is none. */
  reset(duration: number): void {
    if (!this.active) return
    this.#alarm?.cancel()
    this.#alarm =
      duration === Number.POSITIVE_INFINITY ? undefined : this.#alarms.after(duration, () => this.#end(true))
  }

  /** Ends it before its time; does nothing where there is none. */
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
