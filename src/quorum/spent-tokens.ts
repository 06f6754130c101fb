/** Tokens that a quorum has given back, each until a time. A manager that got no answer in time may still ask with one of them. Pure. */
export class SpentTokens {
  /** The time until which each is kept, oldest first. */
  readonly #until = new Map<string, number>()

  add(token: string, until: number): void {
    this.#until.delete(token)
    this.#until.set(token, until)
  }

  has(token: string): boolean {
    return this.#until.has(token)
  }

  get size(): number {
    return this.#until.size
  }

  /** Drops the oldest whose time is over. One with a long time keeps those behind it. */
  forget(now: number): void {
    for (const [token, until] of this.#until) {
      if (until > now) break
      this.#until.delete(token)
    }
  }
}
