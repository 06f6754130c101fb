/** Promises what the raw measurements mean: per grant, per second, per caller. Pure. */
import { percentile, sum, type WorstOf } from './figures.ts'
import type { Grant, HandoffMeasurement } from './handoff-measurement.ts'
import { countScriptCalls } from './server-counters.ts'

export interface HandoffFigures {
  readonly grantsPerSecond: number
  /** From a release to the next grant, in ms. */
  readonly gapMean: number
  /** In ms. */
  readonly gapP50: number
  /** In ms. */
  readonly gapP99: number
  /** Of the gaps between two different callers, in ms. */
  readonly gapToAnother: number
  /** Grants to the caller that had released the lock just before: a part of 1. */
  readonly repeated: number
  /** Jain's index over the grants of all callers: 1 when each had as many, 1 / callers when one had all. */
  readonly fairness: number
  /** Callers without a grant. */
  readonly starved: number
  /** Grants while another held the lock. */
  readonly overlaps: number
  readonly commandsPerGrant: number
  readonly scriptsPerGrant: number
  /** µs of Node's CPU per grant, all processes together. */
  readonly nodeCpu: number
  /** µs of Redis' CPU per grant. */
  readonly redisCpu: number
}

/** Promises, and not prices. */
export const worst: WorstOf<HandoffFigures> = { fairness: Math.min, starved: Math.max, overlaps: Math.max }

export function computeFigures(measurement: HandoffMeasurement): HandoffFigures {
  const { callers, schedule, processes, server, traffic } = measurement
  const { from, to } = schedule
  const handoffs = pairUp(processes.flatMap(({ grants }) => grants)).filter(
    ({ grant }) => grant.enteredAt >= from && grant.enteredAt < to,
  )
  const gapsOf = (some: readonly Handoff[]): number[] => some.map(({ gap }) => gap).filter((gap) => gap >= 0)
  const gaps = gapsOf(handoffs)
  const gapsToOthers = gapsOf(handoffs.filter(({ isRepeated }) => !isRepeated))
  const counts = countByCaller(
    handoffs.map(({ grant }) => grant),
    callers,
  )
  const grants = handoffs.length
  return {
    grantsPerSecond: (grants / (to - from)) * 1_000,
    gapMean: sum(gaps) / gaps.length,
    gapP50: percentile(gaps, 50),
    gapP99: percentile(gaps, 99),
    gapToAnother: sum(gapsToOthers) / gapsToOthers.length,
    repeated: handoffs.filter(({ isRepeated }) => isRepeated).length / grants,
    fairness: sum(counts) ** 2 / (callers * sum(counts.map((count) => count ** 2))),
    starved: counts.filter((count) => count === 0).length,
    overlaps: handoffs.filter(({ grant, gap }) => grant.overlaps || gap < 0).length,
    commandsPerGrant: traffic.commands / traffic.entries,
    scriptsPerGrant: countScriptCalls(server) / grants,
    nodeCpu: sum(processes.map(({ nodeCpu }) => nodeCpu)) / grants,
    redisCpu: server.cpu / grants,
  }
}

interface Handoff {
  readonly grant: Grant
  /** In ms since the release of the one before; below 0 when that had not been asked for yet, NaN for the very first. */
  readonly gap: number
  /** Whether the one before was the same caller's. */
  readonly isRepeated: boolean
}

function pairUp(grants: readonly Grant[]): Handoff[] {
  const sorted = grants.toSorted((one, other) => one.enteredAt - other.enteredAt)
  return sorted.map((grant, index) => {
    const previous = sorted[index - 1]
    return {
      grant,
      gap: grant.enteredAt - (previous?.leavingAt ?? Number.NaN),
      isRepeated: grant.caller === previous?.caller,
    }
  })
}

function countByCaller(grants: readonly Grant[], callers: number): number[] {
  const counts = Array.from({ length: callers }, () => 0)
  for (const { caller } of grants) counts[caller] = (counts[caller] ?? 0) + 1
  return counts
}
