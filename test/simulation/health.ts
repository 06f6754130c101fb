/** Since when a process has had no trouble: what a lease may be expected to survive follows from it. */
import type { SimulatedProcess } from './simulated-process.ts'

/** What is wrong with the way from a process to the server, or with the server for all of them. */
export class Health {
  #troubles = 0
  #since = 0

  /** Something goes wrong. */
  begin(): void {
    this.#troubles += 1
  }

  end(now: number): void {
    this.#troubles -= 1
    this.#since = now
  }

  /** Something went wrong for a moment. */
  disturb(now: number): void {
    this.#since = Math.max(this.#since, now)
  }

  /** True time; Infinity while something is wrong. */
  get since(): number {
    return this.#troubles > 0 ? Number.POSITIVE_INFINITY : this.#since
  }
}

/** Since when a process could do all that it was to do. */
export function healthySince(process: SimulatedProcess, ...healths: readonly Health[]): number {
  if (!process.observable || process.interrupted) return Number.POSITIVE_INFINITY
  return Math.max(process.freeSince, ...healths.map(({ since }) => since))
}
