/** What must have come true: checked as the demo goes along, shown as a list at its end. */

interface Expectation {
  readonly text: string
  readonly holds: boolean
}

export class Expectations {
  readonly #list: Expectation[] = []

  /** @param text what should be the case, with the numbers that were found. */
  add(text: string, holds: boolean): void {
    this.#list.push({ text, holds })
  }

  get failures(): number {
    return this.#list.filter(({ holds }) => !holds).length
  }

  lines(): string[] {
    const verdict =
      this.failures === 0
        ? `All ${this.#list.length} expectations held.`
        : `${this.failures} of ${this.#list.length} expectations FAILED.`
    return [...this.#list.map(({ text, holds }) => `  ${holds ? 'ok    ' : 'FAILED'}  ${text}`), verdict]
  }
}
