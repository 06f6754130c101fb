/** Promises what the raw measurements mean: per renewal, per second, per lock. Pure. */
import type { WorstOf } from './figures.ts'
import type { HoldMeasurement } from './hold-measurement.ts'
import { countCommands, countRenewals, countScriptCalls } from './server-counters.ts'

export interface HoldFigures {
  readonly locks: number
  readonly acquiresPerSecond: number
  readonly renewalsPerSecond: number
  /** µs of Node's CPU per renewal. */
  readonly nodeCpu: number
  /** µs of Redis' CPU per renewal; on a quorum of the server that needs most. */
  readonly redisCpu: number
  /** ms of Node's CPU per second. */
  readonly nodeLoad: number
  /** ms of Redis' CPU per second; on a quorum of the server that needs most. */
  readonly redisLoad: number
  readonly commandsPerSecond: number
  readonly scriptsPerRenewal: number
  /** Sent to the server. */
  readonly bytesPerRenewal: number
  /** Bytes of the heap; NaN where a collection came in between. */
  readonly allocatedPerRenewal: number
  /** Bytes per lock, the key included. */
  readonly heap: number
  /** Bytes that are there after all is closed and were not before. */
  readonly left: number
  /** In ms. */
  readonly delayP50: number
  /** In ms. */
  readonly delayP99: number
  /** In ms. */
  readonly delayMax: number
  /** Armed at one time: by the library's own word, where it has one; NaN where neither tells. */
  readonly timers: number
  /** The longest that a lock went without a renewal: a part of the ttl. */
  readonly oldest: number
  readonly alive: number
  readonly lost: number
  /** Locks per second that 1,000 callers take at once while the others are held; NaN where that was not measured. */
  readonly crowdPerSecond: number
  /** µs of Node's CPU for each of these. */
  readonly crowdCpu: number
}

export function computeFigures(measurement: HoldMeasurement): HoldFigures {
  const { locks, acquire, cost, crowd, delay, heap, timers, end } = measurement
  const renewals = countRenewals(cost.server)
  const redisCpu = Math.max(cost.server.cpu, ...(cost.others ?? []).map(({ cpu }) => cpu))
  return {
    locks,
    acquiresPerSecond: locks / acquire.seconds,
    renewalsPerSecond: renewals / cost.seconds,
    nodeCpu: cost.nodeCpu / renewals,
    redisCpu: redisCpu / renewals,
    nodeLoad: cost.nodeCpu / 1_000 / cost.seconds,
    redisLoad: redisCpu / 1_000 / cost.seconds,
    commandsPerSecond: countCommands(cost.server) / cost.seconds,
    scriptsPerRenewal: countScriptCalls(cost.server) / renewals,
    bytesPerRenewal: cost.server.received / renewals,
    allocatedPerRenewal: cost.collections === 0 ? cost.grown / renewals : Number.NaN,
    heap: heap.bytes / locks,
    left: heap.left,
    delayP50: delay.p50,
    delayP99: delay.p99,
    delayMax: delay.max,
    timers: timers.told ?? timers.set ?? Number.NaN,
    oldest: oldestRenewal(measurement),
    alive: end.alive,
    lost: end.lost,
    crowdPerSecond: crowd ? crowd.locks / crowd.seconds : Number.NaN,
    crowdCpu: crowd ? crowd.nodeCpu / crowd.locks : Number.NaN,
  }
}

/** Promises, and not prices: the fewest alive, the most lost and the longest delay of all rounds. */
export const worst: WorstOf<HoldFigures> = {
  alive: Math.min,
  lost: Math.max,
  delayMax: Math.max,
  timers: Math.max,
  oldest: Math.max,
}

/** Where the library tells by how much a renewal was late at most, that is said of all renewals, and not of a sample. */
function oldestRenewal({ ttl, age }: HoldMeasurement): number {
  const told = age.lag === null ? 0 : ttl / 3 + age.lag
  return Math.max(age.oldest, told) / ttl
}
