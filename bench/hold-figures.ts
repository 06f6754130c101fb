/** Promises what the raw measurements mean: per renewal, per second, per lock. Pure. May import types, and what counts. */
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

/** Each figure's median; but the fewest alive, the most lost and the longest delay, which are promises and not prices. */
export function combineRounds(rounds: readonly HoldFigures[]): HoldFigures {
  const all = (name: keyof HoldFigures): number[] => rounds.map((figures) => figures[name])
  const middle = (name: keyof HoldFigures): number => median(all(name))
  return {
    acquiresPerSecond: middle('acquiresPerSecond'),
    renewalsPerSecond: middle('renewalsPerSecond'),
    nodeCpu: middle('nodeCpu'),
    redisCpu: middle('redisCpu'),
    commandsPerSecond: middle('commandsPerSecond'),
    heap: middle('heap'),
    delayP50: middle('delayP50'),
    delayP99: middle('delayP99'),
    delayMax: Math.max(...all('delayMax')),
    alive: Math.min(...all('alive')),
    lost: Math.max(...all('lost')),
  }
}

function median(numbers: readonly number[]): number {
  const sorted = numbers.toSorted((one, other) => one - other)
  const [low = Number.NaN, high = Number.NaN] = [
    sorted[Math.floor((sorted.length - 1) / 2)],
    sorted[Math.ceil((sorted.length - 1) / 2)],
  ]
  return (low + high) / 2
}
