/** Promises what the raw measurements mean. Pure. */
import type { WorstOf } from './figures.ts'
import type { OverloadMeasurement } from './overload-measurement.ts'
import { countRenewals } from './server-counters.ts'

export interface OverloadFigures {
  /** Renewals per second that the server did, and that would be needed: three per ttl of each lock. */
  readonly done: number
  readonly needed: number
  /** Locks that a server of this speed can keep: what it renews within a ttl. */
  readonly keepable: number
  readonly held: number
  readonly alive: number
  readonly lost: number
}

/** Promises, and not prices. */
export const worst: WorstOf<OverloadFigures> = { held: Math.min, alive: Math.min, lost: Math.max }

export function computeFigures({ locks, ttl, slow, held, alive, lost }: OverloadMeasurement): OverloadFigures {
  const done = countRenewals(slow.server) / slow.seconds
  const needed = (3 * locks * 1_000) / ttl
  return { done, needed, keepable: Math.min((done * ttl) / 1_000, locks), held, alive, lost }
}
