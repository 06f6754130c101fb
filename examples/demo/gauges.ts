/** What one second of holding costs: rates and delays since the last reading, out of counts that run from the beginning. */
import { monitorEventLoopDelay } from 'node:perf_hooks'
import type { LeaseManager, LeaseManagerStats } from 'leasewheel'
import { count, milliseconds } from './format.ts'

/** How often the event loop's delay is measured, in ms. Node counts this time in, we do not. */
const RESOLUTION = 10

export class Gauges {
  readonly #leases: LeaseManager
  readonly #delay = monitorEventLoopDelay({ resolution: RESOLUTION })
  readonly #startedAt = performance.now()
  #readAt = this.#startedAt
  #last: LeaseManagerStats

  constructor(leases: LeaseManager) {
    this.#leases = leases
    this.#last = leases.stats()
    this.#delay.enable()
  }

  /** One line, about the time since the last one. */
  read(): string {
    const now = performance.now()
    const stats = this.#leases.stats()
    const last = this.#last
    const elapsed = (now - this.#readAt) / 1_000
    const lag = stats.renewalLag
    const before = last.renewalLag
    const renewed = lag.count - before.count
    const meanLag = renewed === 0 ? 0 : (lag.mean * lag.count - before.mean * before.count) / renewed
    const delay = Math.max(this.#delay.percentile(99) / 1e6 - RESOLUTION, 0)
    this.#delay.reset()
    this.#readAt = now
    this.#last = stats
    return [
      `${count((now - this.#startedAt) / 1_000).padStart(5)} s`,
      `held ${count(stats.held)}`,
      `renewals ${count((stats.renewals - last.renewals) / elapsed)}/s`,
      `commands ${count((stats.requests - last.requests) / elapsed)}/s`,
      `renewal lag ${milliseconds(meanLag)}`,
      `loop delay ${milliseconds(delay)}`,
      `timers ${stats.timers}`,
    ].join('  ')
  }

  stop(): void {
    this.#delay.disable()
  }
}
