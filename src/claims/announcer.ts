/** Events with listeners that may return promises. A promise of a listener is part of the work under a lock: see `Tenure`. */
import { checkFunction } from '../options/check.ts'
import type { Tenure } from './tenure.ts'

/** A listener of one event. */
export type ClaimListener<Payload> = (event: Payload) => unknown

export class Announcer<Events extends object> {
  readonly #listeners = new Map<keyof Events, readonly ClaimListener<never>[]>()
  readonly #onFault: (fault: unknown) => void

  /** @internal */
  constructor(onFault: (fault: unknown) => void) {
    this.#onFault = onFault
  }

  /** Adds a listener. The manager emits what it throws as `error`. */
  on<E extends keyof Events>(event: E, listener: ClaimListener<Events[E]>): this {
    checkFunction('listener', listener)
    this.#listeners.set(event, [...(this.#listeners.get(event) ?? []), listener])
    return this
  }

  /** Removes a listener. */
  off<E extends keyof Events>(event: E, listener: ClaimListener<Events[E]>): this {
    const others = this.#listeners.get(event)?.filter((other) => other !== listener) ?? []
    this.#listeners.set(event, others)
    return this
  }

  /** @param payload called only if somebody listens. @internal */
  protected announce<E extends keyof Events>(event: E, tenure: Tenure | undefined, payload: () => Events[E]): void {
    const listeners = this.#listeners.get(event)
    if (listeners === undefined || listeners.length === 0) return
    const value = payload()
    for (const listener of listeners as readonly ClaimListener<Events[E]>[]) {
      if (tenure) tenure.run(() => listener(value), this.#onFault)
      else guarded(() => listener(value), this.#onFault)
    }
  }
}

function guarded(callback: () => unknown, onFault: (fault: unknown) => void): void {
  const work = async (): Promise<unknown> => callback()
  work().catch(onFault)
}
