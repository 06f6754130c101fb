/** Attempts that fail because the backend cannot be asked: how long to wait before the next one, and what to report. */
import { isFinal, UnavailableError } from '../errors.ts'
import { Pause } from '../waiting/pause.ts'
import type { StandingPort } from './standing.ts'

/** ms. */
const SHORTEST_REST = 100
const LONGEST_REST = 2_000

export class Setbacks {
  readonly #port: StandingPort
  readonly #pause: Pause
  /** Failures in a row. */
  #count = 0
  /** One of them was reported: most others say the same. */
  #reported = false

  constructor(port: StandingPort) {
    this.#port = port
    this.#pause = new Pause(port.scheduler)
  }

  onSuccess(): void {
    this.#count = 0
    this.#reported = false
  }

  /** Reports a failure, unless the backend itself reports that it cannot be reached. */
  tell(error: unknown): void {
    if (this.#reported || (error instanceof UnavailableError && !isFinal(error))) return
    this.#reported = true
    this.#port.report(error)
  }

  /** Resolves when it is time for another attempt. */
  async rest(error: unknown): Promise<void> {
    const { random } = this.#port
    this.tell(error)
    const longest = Math.min(SHORTEST_REST * 2 ** this.#count, LONGEST_REST)
    this.#count += 1
    await this.#pause.rest(longest * (1 - random() / 2))
  }

  /** Ends the rest now. */
  end(): void {
    this.#pause.end()
  }
}
