/** The promise that all requests share while they wait for a connection. */

export class Readiness {
  #promise: Promise<void> | undefined
  #resolve: (() => void) | undefined
  #reject: ((error: Error) => void) | undefined

  /** Settles at the next change. */
  get next(): Promise<void> {
    if (this.#promise === undefined) {
      this.#promise = new Promise((resolve, reject) => {
        this.#resolve = resolve
        this.#reject = reject
      })
      // Waiting requests handle a rejection, but there may be none.
      this.#promise.catch(() => undefined)
    }
    return this.#promise
  }

  /** @param error why the connection cannot be used; undefined if it can. */
  settle(error?: Error): void {
    this.#promise = undefined
    if (error) this.#reject?.(error)
    else this.#resolve?.()
  }
}
