/** Those who wait until a connection can be used: all of them wait for the same promise. */

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
      // Whoever waits handles it; nobody may.
      this.#promise.catch(() => undefined)
    }
    return this.#promise
  }

  /** @param error why it cannot be used; none if it can. */
  settle(error?: Error): void {
    this.#promise = undefined
    if (error) this.#reject?.(error)
    else this.#resolve?.()
  }
}
