/** Something that must not be. */

export class Violation extends Error {
  /** The number of the property that does not hold. */
  readonly property: string

  constructor(property: string, message: string) {
    super(`${property}: ${message}`)
    this.name = 'Violation'
    this.property = property
  }
}

/** Keeps the first violation of a run: what comes after it may be a consequence. */
export class Verdict {
  #violation: Violation | undefined
  readonly #ignored: RegExp | undefined

  /** @param ignored what matches this is let pass, so that others can be found. */
  constructor(ignored?: RegExp) {
    this.#ignored = ignored
  }

  get violation(): Violation | undefined {
    return this.#violation
  }

  /** Does not throw: most of what is found is found inside a listener, whose faults the manager keeps to itself. */
  fail(property: string, message: string): void {
    if (this.#violation !== undefined) return
    const violation = new Violation(property, message)
    if (!this.#ignored?.test(violation.message)) this.#violation = violation
  }

  /** @param message made only where it is needed. */
  expect(condition: boolean, property: string, message: () => string): void {
    if (!condition && this.#violation === undefined) this.fail(property, message())
  }
}
