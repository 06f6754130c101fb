/**
 * One listener on an AbortSignal, however many callers share the signal. Otherwise a signal passed to a thousand calls
 * would carry a thousand listeners, and Node warns of a leak from the eleventh on.
 */

/** A call that a signal can cancel. */
export interface Cancellable {
  cancel(reason: unknown): void
}

interface Watch {
  readonly cancellables: Set<Cancellable>
  readonly onAbort: () => void
}

export class AbortWatch {
  readonly #watches = new Map<AbortSignal, Watch>()

  /** Lets the signal cancel a call: at once if it is aborted already. */
  add(signal: AbortSignal, cancellable: Cancellable): void {
    if (signal.aborted) {
      cancellable.cancel(signal.reason)
      return
    }
    let watch = this.#watches.get(signal)
    if (watch === undefined) {
      const cancellables = new Set<Cancellable>()
      watch = { cancellables, onAbort: () => cancellables.forEach((one) => one.cancel(signal.reason)) }
      this.#watches.set(signal, watch)
      signal.addEventListener('abort', watch.onAbort, { once: true })
    }
    watch.cancellables.add(cancellable)
  }

  /** The result of `work`. @throws the reason of the signal as soon as that aborts. */
  async race<T>(signal: AbortSignal | undefined, work: Promise<T>): Promise<T> {
    if (signal === undefined) return work
    let cancellable: Cancellable | undefined
    const aborted = new Promise<never>((_resolve, reject) => {
      cancellable = { cancel: reject }
      this.add(signal, cancellable)
    })
    try {
      return await Promise.race([work, aborted])
    } finally {
      if (cancellable) this.remove(signal, cancellable)
    }
  }

  remove(signal: AbortSignal, cancellable: Cancellable): void {
    const watch = this.#watches.get(signal)
    if (watch === undefined) return
    watch.cancellables.delete(cancellable)
    if (watch.cancellables.size > 0) return
    signal.removeEventListener('abort', watch.onAbort)
    this.#watches.delete(signal)
  }
}

/** One for the process: managers that get the same signal share its listener. */
export const ABORTS: AbortWatch = new AbortWatch()
