/** Looks at the manager twice a second while leases are held: tells the events as they come, reads the gauges, counts timers. */
import type { LeaseManager } from 'leasewheel'
import { count } from './format.ts'
import { Gauges } from './gauges.ts'
import type { Ledger } from './ledger.ts'
import type { Screen } from './screen.ts'

/** ms. */
const INTERVAL = 500

export class Watch {
  readonly #leases: LeaseManager
  readonly #ledger: Ledger
  readonly #screen: Screen
  #stop: () => void = () => {}
  #hasToldRenewals = false
  #looks = 0
  #looksWithOneTimer = 0

  constructor(leases: LeaseManager, ledger: Ledger, screen: Screen) {
    this.#leases = leases
    this.#ledger = ledger
    this.#screen = screen
  }

  /** How often it looked, and how often exactly one timer was armed then. */
  get timers(): { readonly looks: number; readonly one: number } {
    return { looks: this.#looks, one: this.#looksWithOneTimer }
  }

  start(): void {
    const gauges = new Gauges(this.#leases)
    const interval = setInterval(() => {
      this.#looks += 1
      if (this.#leases.stats().timers === 1) this.#looksWithOneTimer += 1
      this.tell()
      if (this.#looks % 2 === 0) this.#screen.live(gauges.read())
    }, INTERVAL)
    this.#stop = () => {
      clearInterval(interval)
      gauges.stop()
      this.#screen.settle()
    }
  }

  stop(): void {
    this.#stop()
  }

  /** Writes which kinds of events came since the last time, and how many of each there have been in all. */
  tell(): void {
    for (const kind of this.#ledger.changes()) {
      // Renewals come all the time: how many is told by the gauges.
      if (kind === 'renewed' && this.#hasToldRenewals) continue
      if (kind === 'renewed') this.#hasToldRenewals = true
      const what = kind === 'error' ? `  ${this.#ledger.lastError?.message}` : ''
      this.#screen.line(`         event  ${kind.padEnd(13)} ${count(this.#ledger.count(kind)).padStart(9)}${what}`)
    }
  }
}
