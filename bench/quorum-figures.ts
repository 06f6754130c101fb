/** Promises what the latencies of acquires on a quorum mean, with all members and with one that hangs. Pure. */
import { percentile, sum, type WorstOf } from './figures.ts'
import type { QuorumMeasurement, TurnMeasurement } from './quorum-measurement.ts'

export interface QuorumFigures {
  /** In µs, with all members. */
  readonly wholeMean: number
  readonly wholeP50: number
  readonly wholeP99: number
  /** In µs, while one hangs. */
  readonly hungMean: number
  readonly hungP50: number
  readonly hungP99: number
  /** Acquires that were measured while one hangs. */
  readonly acquires: number
  /** Pairs that were given up while one hangs. */
  readonly stuck: number
}

export const worst: WorstOf<QuorumFigures> = { stuck: Math.max, acquires: Math.min }

export function computeFigures({ whole, hung }: QuorumMeasurement): QuorumFigures {
  return {
    wholeMean: mean(whole),
    wholeP50: percentile(whole.latencies, 50),
    wholeP99: percentile(whole.latencies, 99),
    hungMean: mean(hung),
    hungP50: percentile(hung.latencies, 50),
    hungP99: percentile(hung.latencies, 99),
    acquires: hung.latencies.length,
    stuck: hung.stuck,
  }
}

/** NaN if nothing was acquired. */
function mean({ latencies }: TurnMeasurement): number {
  return latencies.length === 0 ? Number.NaN : sum(latencies) / latencies.length
}
