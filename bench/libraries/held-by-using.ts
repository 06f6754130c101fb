/**
 * Holds locks of a library that renews only during a call (`using(..., routine)`): each routine waits until it is told
 * to end. Promises to cost the library nothing per lock but the signal, which is how it tells of a loss, unless
 * somebody wants to be told of each.
 */
import { CALLERS } from '../in-parallel.ts'
import type { OnLost } from '../library.ts'

type Routine = (signal: AbortSignal) => Promise<void>

export class HeldByUsing {
  readonly #using: (key: string, routine: Routine) => Promise<void>
  readonly #onLost: OnLost | undefined
  #signals: AbortSignal[] = []
  #lost = 0
  #endAll: () => void = () => {}
  /** Of each call of `using` that has not returned yet. */
  #running = 0
  #whenIdle: () => void = () => {}

  constructor(using: (key: string, routine: Routine) => Promise<void>, onLost?: OnLost) {
    this.#using = using
    this.#onLost = onLost
  }

  /** Settles when all the routines have begun, or one of the locks was refused. */
  acquireAll(keys: readonly string[]): Promise<void> {
    // One gate and one routine for all: a closure per lock would be charged to the library.
    const gate = new Promise<void>((resolve) => {
      this.#endAll = resolve
    })
    // An iterator that has ended lets go of the array.
    const rest = keys.values()
    let missing = keys.length
    return new Promise((resolve, reject) => {
      const ended = (): void => {
        if (--this.#running === 0) this.#whenIdle()
      }
      const failed = (error: Error): void => {
        reject(error)
        ended()
      }
      const begin = (): void => {
        const next = rest.next()
        if (next.done) return
        this.#running++
        void this.#using(next.value, this.#reporting(next.value, routine)).then(ended, failed)
      }
      const routine: Routine = async (signal) => {
        this.#signals.push(signal)
        begin()
        if (--missing === 0) resolve()
        await gate
      }
      for (let caller = 0; caller < CALLERS; caller++) begin()
    })
  }

  #reporting(key: string, routine: Routine): Routine {
    const onLost = this.#onLost
    if (onLost === undefined) return routine
    return (signal) => {
      signal.addEventListener('abort', () => onLost(key), { once: true })
      return routine(signal)
    }
  }

  async releaseAll(): Promise<void> {
    this.#lost = this.lost
    this.#signals = []
    const idle = new Promise<void>((resolve) => {
      this.#whenIdle = resolve
    })
    this.#endAll()
    if (this.#running > 0) await idle
  }

  get held(): number {
    return this.#signals.filter((signal) => !signal.aborted).length
  }

  get lost(): number {
    return this.#lost + this.#signals.filter((signal) => signal.aborted).length
  }
}
