/** Promises what the raw measurements on a cluster mean: per renewal, per second, and beside one another. Pure. */
import type { ClusterMeasurement } from './cluster-measurement.ts'
import { sum, type WorstOf } from './figures.ts'
import { countRenewals, countScriptCalls } from './server-counters.ts'

export interface ClusterFigures {
  readonly locks: number
  readonly renewalsPerSecond: number
  /** µs of Node's CPU per renewal. */
  readonly nodeCpu: number
  /** µs of CPU per renewal, of all servers together. */
  readonly serverCpu: number
  /** Of one core, in %. */
  readonly nodeLoad: number
  /** Of one core, of all servers together, in %. */
  readonly serverLoad: number
  readonly callsPerSecond: number
  /** Renewals over those that are due, one for each lock and third of the ttl: less than 1 for who cannot keep up. */
  readonly kept: number
  readonly alive: number
  readonly lost: number
}

export function computeFigures(measurement: ClusterMeasurement): ClusterFigures {
  const { locks, ttl, seconds, nodeCpu, servers, lost, alive } = measurement
  const renewals = sum(servers.map(countRenewals))
  const serverCpu = sum(servers.map(({ cpu }) => cpu))
  return {
    locks,
    renewalsPerSecond: renewals / seconds,
    nodeCpu: nodeCpu / renewals,
    serverCpu: serverCpu / renewals,
    nodeLoad: nodeCpu / seconds / 1e4,
    serverLoad: serverCpu / seconds / 1e4,
    callsPerSecond: sum(servers.map(countScriptCalls)) / seconds,
    kept: renewals / ((locks * seconds * 1_000) / (ttl / 3)),
    alive,
    lost,
  }
}

/** Promises, and not prices: the fewest alive and the most lost of all rounds. */
export const worst: WorstOf<ClusterFigures> = { alive: Math.min, lost: Math.max, kept: Math.min }
