/** Promises what the raw notices mean. Pure. */
import { percentile, type WorstOf } from './figures.ts'
import type { LossMeasurement } from './loss-measurement.ts'

/** Of the ttl: when a notice is in time. */
export const IN_TIME = 1.1

export interface LossFigures {
  /** From the deletion to the notice, in ms; NaN without a notice. */
  readonly median: number
  /** In ms. */
  readonly p99: number
  /** In ms. */
  readonly max: number
  /** Deleted locks of which there was notice in time. */
  readonly noticed: number
  readonly deleted: number
  /** Locks told to be lost that nobody had deleted. */
  readonly unfounded: number
  /** ms of Redis' CPU per second of holding. */
  readonly redisCpu: number
}

/** Promises, and not prices. */
export const worst: WorstOf<LossFigures> = { max: Math.max, noticed: Math.min, unfounded: Math.max }

export function computeFigures({ ttl, holding, deletions, notices }: LossMeasurement): LossFigures {
  const noticedAt = new Map(notices.map((notice) => [notice.key, notice.noticedAt]))
  const deletedAt = new Map(deletions.map((deletion) => [deletion.key, deletion.deletedAt]))
  const delays = deletions
    .map((deletion) => (noticedAt.get(deletion.key) ?? Number.NaN) - deletion.deletedAt)
    .filter((delay) => delay >= 0)
  return {
    median: percentile(delays, 50),
    p99: percentile(delays, 99),
    max: percentile(delays, 100),
    noticed: delays.filter((delay) => delay <= IN_TIME * ttl).length,
    deleted: deletions.length,
    unfounded: notices.filter((notice) => notice.noticedAt < (deletedAt.get(notice.key) ?? Number.POSITIVE_INFINITY))
      .length,
    redisCpu: holding.server.cpu / 1_000 / holding.seconds,
  }
}
