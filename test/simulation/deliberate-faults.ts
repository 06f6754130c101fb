/**
 * What users hand over and what then throws: a source of chance, a strategy, a callback. P31: what was thrown reaches a caller, or comes out as
 * `error`. May import processes, chance and the verdict.
 */
import type { RetryStrategy } from 'leasewheel'
import type { Random } from './random.ts'
import type { SimulatedProcess } from './simulated-process.ts'
import type { Verdict } from './violation.ts'

/** How long it may take to come out, in ms. */
const SOON = 100

export class DeliberateFault extends Error {}

export class DeliberateFaults {
  readonly #process: SimulatedProcess
  readonly #random: Random
  readonly #verdict: Verdict
  /** How many calls throw. */
  readonly #share: number
  /** What has been thrown and has not come out, and when that was, in true time. */
  readonly #outstanding = new Map<DeliberateFault, number>()

  constructor(process: SimulatedProcess, random: Random, verdict: Verdict, share: number) {
    this.#process = process
    this.#random = random
    this.#verdict = verdict
    this.#share = share
  }

  /** Whether anything throws at all. */
  get some(): boolean {
    return this.#share > 0
  }

  /** @param weight how much more often than others this throws. */
  maybe(what: string, weight = 1): void {
    if (!this.#random.chance(this.#share * weight)) return
    this.#throw(new DeliberateFault(what))
  }

  /** A strategy that throws goes on throwing. */
  inStrategy(strategy: RetryStrategy): RetryStrategy {
    let fault: DeliberateFault | undefined
    return {
      next: (context) => {
        if (fault === undefined && this.#random.chance(this.#share * 5)) fault = new DeliberateFault('a strategy')
        if (fault) this.#throw(fault)
        return strategy.next(context)
      },
    }
  }

  /** It has come out. @returns whether it was one of these. */
  onSeen(error: unknown): boolean {
    let found = false
    for (let cause = error; cause instanceof Error; cause = cause.cause) {
      if (!(cause instanceof DeliberateFault)) continue
      this.#outstanding.delete(cause)
      found = true
    }
    return found
  }

  check(): void {
    if (!this.#process.observable || this.#process.lag > 0) return
    const { time, freeSince } = this.#process
    for (const [{ message }, thrownAt] of this.#outstanding) {
      const late = time - Math.max(thrownAt, freeSince) - SOON
      this.#verdict.expect(late < 0, 'P31', () => `what ${message} threw has come out nowhere for ${late} ms`)
    }
  }

  #throw(fault: DeliberateFault): never {
    this.#outstanding.set(fault, this.#process.time)
    throw fault
  }
}
