/**
 * What users hand over and what then throws: a source of chance, a strategy, a callback. P31: what was thrown reaches
 * a caller, or comes out as `error`.
 */
import type { RetryStrategy } from 'leasewheel'
import type { Random } from './random.ts'
import type { SimulatedProcess } from './simulated-process.ts'
import type { Verdict } from './violation.ts'

/** How long it may take to come out, in ms, if nothing has to be given back first. */
const SOON = 100

export class DeliberateFault extends Error {}

export class DeliberateFaults {
  readonly #process: SimulatedProcess
  readonly #random: Random
  readonly #verdict: Verdict
  /** How many calls throw. */
  readonly #share: number
  /** What has been thrown and has not come out, when that was, in true time, and how long it may take. */
  readonly #outstanding = new Map<DeliberateFault, { readonly thrownAt: number; readonly bound: number }>()

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
    this.#throw(new DeliberateFault(what), SOON)
  }

  /** A strategy that throws goes on throwing. @param givingBack how long its call may take to give back what it has acquired, before it fails, in ms. */
  inStrategy(strategy: RetryStrategy, givingBack: number): RetryStrategy {
    let fault: DeliberateFault | undefined
    return {
      next: (context) => {
        if (fault === undefined && this.#random.chance(this.#share * 5)) fault = new DeliberateFault('a strategy')
        if (fault) this.#throw(fault, SOON + givingBack)
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
    for (const [{ message }, { thrownAt, bound }] of this.#outstanding) {
      const late = time - Math.max(thrownAt, freeSince) - bound
      this.#verdict.expect(late < 0, 'P31', () => `what ${message} threw has come out nowhere for ${late} ms`)
    }
  }

  #throw(fault: DeliberateFault, bound: number): never {
    this.#outstanding.set(fault, { thrownAt: this.#process.time, bound })
    throw fault
  }
}
