/** Passes on the first line of each kind at once, and those of the second that follows as one, with their count. */
import { asError } from '../as-error.ts'
import type { Clock, Timer } from '../time/clock.ts'

/** ms. */
const INTERVAL = 1_000

export interface Line {
  readonly level: 'error' | 'warn' | 'info'
  readonly message: string
  readonly facts: object
  readonly error?: Error | undefined
}

interface Pending {
  /** The last line that waits, and how many do. */
  line: Line | undefined
  count: number
  timer: Timer
}

export class Digest {
  readonly #clock: Clock
  readonly #write: (line: Line, count: number) => void
  /** By kind: there are a few dozen at most. */
  readonly #pending = new Map<string, Pending>()

  constructor(clock: Clock, write: (line: Line, count: number) => void) {
    this.#clock = clock
    this.#write = write
  }

  add(kind: string, line: Line): void {
    const pending = this.#pending.get(kind)
    if (pending) {
      pending.line = line
      pending.count += 1
      return
    }
    this.#pending.set(kind, { line: undefined, count: 0, timer: this.#wake(kind) })
    this.#write(line, 1)
  }

  /** Writes what waits. */
  close(): void {
    for (const [kind, { timer }] of this.#pending) {
      timer.cancel()
      this.#flush(kind)
    }
    this.#pending.clear()
  }

  #wake(kind: string): Timer {
    const timer = this.#clock.setTimer(() => this.#onInterval(kind), INTERVAL)
    timer.unref?.()
    return timer
  }

  #onInterval(kind: string): void {
    if (!this.#flush(kind)) {
      this.#pending.delete(kind)
      return
    }
    this.#pending.set(kind, { line: undefined, count: 0, timer: this.#wake(kind) })
  }

  /** @returns whether a line has waited. */
  #flush(kind: string): boolean {
    const { line, count } = this.#pending.get(kind) as Pending
    if (line === undefined) return false
    try {
      this.#write(line, count)
    } catch (fault) {
      // Nobody is there to catch it, and a logger that fails must not end the process.
      process.emitWarning(asError(fault))
    }
    return true
  }
}
