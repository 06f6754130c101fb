/** Promises what `guard` knows when it has measured. Pure. */
import { median } from './figures.ts'
import type { HoldFigures } from './hold-figures.ts'

/** One round: both libraries, one right after the other. */
export interface GuardRound {
  readonly ours: HoldFigures
  readonly peer: HoldFigures
  /** Timers that Node has in its heap for all the locks. */
  readonly nodeTimers: number
  /** Sent to the server for each renewal; the name of the host, which stands in each token, left out. */
  readonly bytesPerRenewal: number
  /** CPU of Node and Redis together for each acquire of 1,000 callers at once, in µs. */
  readonly acquire: { readonly ours: number; readonly peer: number }
}

export interface GuardFigures {
  /** Ours over the peer's. */
  readonly nodeCpuRatio: number
  readonly redisCpuRatio: number
  readonly heapRatio: number
  readonly acquireRatio: number
  readonly renewalsPerScript: number
  readonly bytesPerRenewal: number
  readonly allocatedPerRenewal: number
  readonly timers: number
  readonly nodeTimers: number
  readonly lost: number
}

/**
 * Medians, of ratios too: the two sides of one were measured one right after the other. But the most timers, and all that
 * was lost.
 */
export function computeGuardFigures(rounds: readonly GuardRound[]): GuardFigures {
  const middle = (figure: (round: GuardRound) => number): number => median(rounds.map(figure))
  const most = (figure: (round: GuardRound) => number): number => Math.max(...rounds.map(figure))
  return {
    nodeCpuRatio: middle(({ ours, peer }) => ours.nodeCpu / peer.nodeCpu),
    redisCpuRatio: middle(({ ours, peer }) => ours.redisCpu / peer.redisCpu),
    heapRatio: middle(({ ours, peer }) => ours.heap / peer.heap),
    acquireRatio: middle(({ acquire }) => acquire.ours / acquire.peer),
    renewalsPerScript: middle(({ ours }) => 1 / ours.scriptsPerRenewal),
    bytesPerRenewal: middle(({ bytesPerRenewal }) => bytesPerRenewal),
    allocatedPerRenewal: middle(({ ours }) => ours.allocatedPerRenewal),
    timers: most(({ ours }) => ours.timers),
    nodeTimers: most(({ nodeTimers }) => nodeTimers),
    lost: most(({ ours }) => ours.lost),
  }
}
