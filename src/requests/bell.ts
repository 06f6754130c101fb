/** Something that callers wait for together. */
export class Bell {
  #waiting: (() => void)[] = []

  /** Resolves when it rings next. */
  next(): Promise<void> {
    return new Promise((resolve) => {
      this.#waiting.push(resolve)
    })
  }

  ring(): void {
    const waiting = this.#waiting
    this.#waiting = []
    for (const resolve of waiting) resolve()
  }
}
