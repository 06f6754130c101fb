/** Promises what the raw measurements mean: per renewal, per second, per lock. Pure. May import types, and what counts. */
import type { WorstOf } from './figures.ts'
import type { HoldMeasurement } from './hold-measurement.ts'
import { countCommands, countRenewals } from './server-counters.ts'

export interface HoldFigures {
  readonly acquiresPerSecond: number
  readonly renewalsPerSecond: number
  /** µs of Node's CPU per renewal. */
  readonly nodeCpu: number
  /** µs of Redis' CPU per renewal. */
  readonly redisCpu: number
  readonly commandsPerSecond: number
  /** Bytes per lock, the key included. */
  readonly heap: number
  /** In ms. */
  readonly delayP50: number
  /** In ms. */
  readonly delayP99: number
  /** In ms. */
  readonly delayMax: number
  readonly alive: number
  readonly lost: number
}

export function computeFigures({ locks, acquire, cost, delay, heap, end }: HoldMeasurement): HoldFigures {
  const renewals = countRenewals(cost.server)
  return {
    acquiresPerSecond: locks / acquire.seconds,
    renewalsPerSecond: renewals / cost.seconds,
    nodeCpu: cost.nodeCpu / renewals,
    redisCpu: cost.server.cpu / renewals,
    commandsPerSecond: countCommands(cost.server) / cost.seconds,
    heap: heap.bytes / locks,
    delayP50: delay.p50,
    delayP99: delay.p99,
    delayMax: delay.max,
    alive: end.alive,
    lost: end.lost,
  }
}

/** Promises, and not prices: the fewest alive, the most lost and the longest delay of all rounds. */
export const worst: WorstOf<HoldFigures> = { alive: Math.min, lost: Math.max, delayMax: Math.max }
