/**
 * Which acquisitions have been given back since a question was sent. A lost key must not be written again for them: nobody would delete it. Pure.
 * It remembers a token for as long as an older question is under way.
 */
export class EndedTokens {
  /** Questions under way, oldest first. */
  readonly #underWay = new Set<number>()
  /** When a token was given back, oldest first. */
  readonly #ended = new Map<string, number>()
  #time = 0

  /** A question is being sent. @returns what `close` wants. */
  open(): number {
    this.#time += 1
    this.#underWay.add(this.#time)
    return this.#time
  }

  /** All that follows from the question is over. */
  close(question: number): void {
    this.#underWay.delete(question)
    const oldest = this.#oldest
    for (const [token, endedAt] of this.#ended) {
      if (endedAt > oldest) break
      this.#ended.delete(token)
    }
  }

  add(token: string): void {
    if (this.#underWay.size === 0) return
    this.#time += 1
    this.#ended.delete(token)
    this.#ended.set(token, this.#time)
  }

  has(token: string): boolean {
    return this.#ended.has(token)
  }

  get size(): number {
    return this.#ended.size
  }

  get #oldest(): number {
    const [first = Number.POSITIVE_INFINITY] = this.#underWay
    return first
  }
}
