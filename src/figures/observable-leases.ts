/** What exporters and loggers need of a `LeaseManager`. */
import type { LeaseEvents } from '../lease/events.ts'
import type { Lease } from '../lease/lease.ts'
import type { Health, LeaseManagerStats } from '../stats.ts'

export interface ObservableLeases extends Iterable<Lease> {
  stats(): LeaseManagerStats
  health(): Health
  on<E extends keyof LeaseEvents>(event: E, listener: (...values: LeaseEvents[E]) => void): this
  off<E extends keyof LeaseEvents>(event: E, listener: (...values: LeaseEvents[E]) => void): this
}
