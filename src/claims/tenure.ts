/**
 * One held lock, with the work that goes on under it:
 *
 *     begun ──lost, or to be given back──▶ over: the signal aborts, then listeners learn why ──their promises have settled──▶ idle
 *
 * It knows no time. Whoever made it gives the lock back, once it is idle or a drain is over.
 */
import type { Lease } from '../lease/lease.ts'

export class Tenure {
  readonly lease: Lease
  #controller: AbortController | undefined
  /** The reason of the signal; none until it is over. */
  #reason: Error | undefined
  /** Promises of callbacks that have not settled. */
  #running = 0
  #onIdle: (() => void)[] | undefined

  constructor(lease: Lease) {
    this.lease = lease
  }

  /** Created on the first read: most of a hundred thousand keys need none. */
  get signal(): AbortSignal {
    this.#controller ??= new AbortController()
    if (this.#reason && !this.#controller.signal.aborted) this.#controller.abort(this.#reason)
    return this.#controller.signal
  }

  get over(): boolean {
    return this.#reason !== undefined
  }

  /** Whether no work goes on. */
  get idle(): boolean {
    return this.#running === 0
  }

  /** Aborts the signal. Later calls do nothing. */
  end(reason: Error): void {
    if (this.#reason) return
    this.#reason = reason
    this.#controller?.abort(reason)
  }

  /** Calls a callback of the user. If it returns a promise, that is work. @param onFault gets what it throws. */
  run(callback: () => unknown, onFault: (fault: unknown) => void): void {
    try {
      const result = callback()
      if (!isThenable(result)) return
      this.#running += 1
      result.then(undefined, (fault: unknown) => this.#onThrown(fault, onFault)).then(this.#onDone, this.#onDone)
    } catch (fault) {
      this.#onThrown(fault, onFault)
    }
  }

  /** Work that ends with the error of its aborted signal has done what it should. */
  #onThrown(fault: unknown, onFault: (fault: unknown) => void): void {
    const isAbort = fault === this.#reason || (fault instanceof Error && fault.name === 'AbortError')
    if (this.#reason === undefined || !isAbort) onFault(fault)
  }

  /** Resolves once no work goes on. */
  settled(): Promise<void> {
    if (this.idle) return Promise.resolve()
    return new Promise((resolve) => {
      this.#onIdle ??= []
      this.#onIdle.push(resolve)
    })
  }

  readonly #onDone = (): void => {
    this.#running -= 1
    if (!this.idle) return
    for (const resolve of this.#onIdle ?? []) resolve()
    this.#onIdle = undefined
  }
}

/** Checks the shape: a promise may come from another realm, or from a library. */
function isThenable(value: unknown): value is PromiseLike<unknown> {
  return typeof value === 'object' && value !== null && 'then' in value && typeof value.then === 'function'
}
