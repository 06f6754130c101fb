/** What a measurement in a cluster found: a line for each round, a Markdown table of all, and what went beyond the bounds. */
import { CLUSTER_FAULTS } from './arguments.ts'
import type { ClusterRound } from './cluster-round.ts'

/** How much later than the plain client's first write renewals may resume, in ms. */
const LATEST_RESUMPTION = 200
/** How many times as late as without the fault the renewals of other shards may be. */
const LAG_RATIO = 1.2
/** Two lags that differ by less are the same: timers have slots of this width. ms. */
const LAG_RESOLUTION = 10

/** What a round shows that must not be, in words. */
export function findClusterBreaches({ lost, astray, resumed, before, after }: ClusterRound): string[] {
  const isLate = after.lag > Math.max(before.lag * LAG_RATIO, before.lag + LAG_RESOLUTION)
  return [
    ...(lost > 0 ? [`${lost} leases lost`] : []),
    ...(astray > 0 ? [`${astray} leases count as held without their key`] : []),
    ...(resumed > LATEST_RESUMPTION ? [`renewals resumed ${ms(resumed)} after the plain client could write`] : []),
    ...(after.events > 0 ? [`${after.events} events of other shards`] : []),
    ...(isLate ? [`the other shards' renewals were late by ${ms(after.lag)} instead of ${ms(before.lag)}`] : []),
  ]
}

export function formatClusterRound(round: ClusterRound): string {
  const { fault, held, reference, resumed, before, after, losses, scene } = round
  const breaches = findClusterBreaches(round)
  const { behind, pause, replaced } = scene
  return [
    `${fault.padEnd(13)} plain client writes after ${ms(reference)}, renewals ${ms(resumed)} after it`,
    `${held} held before: ${breaches.length > 0 ? breaches.join('; ') : 'none lost'}`,
    `other shards: ${before.renewals} renewals late by ${ms(before.lag)} (p99) without the fault, ${after.renewals} by ${ms(after.lag)} with it, ${after.events} events`,
    ...losses.map(
      ({ reason, count, first, last }) => `${count} ${reason}, ${ms(first)} to ${ms(last)} after the fault`,
    ),
    `the replica ${behind === undefined ? 'had lost its master' : `was ${behind} bytes behind`}, the holder stood still for ${ms(pause)} at most, ${replaced} other masters were replaced`,
  ].join('; ')
}

export function formatClusterTable(rounds: readonly ClusterRound[]): string {
  const head = [
    'fault',
    'rounds',
    'lost of those held before',
    'plain client after, ms',
    'renewals after the plain client, ms',
    "other shards' events",
    "other shards' lag p99 before, ms",
    'with the fault, ms',
  ]
  const rows = CLUSTER_FAULTS.flatMap((fault) => {
    const own = rounds.filter((round) => round.fault === fault)
    return own.length === 0 ? [] : [row(fault, own)]
  })
  return [head, head.map((_, index) => (index === 0 ? '---' : '--:')), ...rows]
    .map((cells) => `| ${cells.join(' | ')} |`)
    .join('\n')
}

function row(fault: string, rounds: readonly ClusterRound[]): string[] {
  const sum = (figure: (round: ClusterRound) => number): number =>
    rounds.reduce((total, round) => total + figure(round), 0)
  const range = (figure: (round: ClusterRound) => number): string => {
    const figures = rounds.map(figure)
    const [least, most] = [Math.min(...figures), Math.max(...figures)].map(whole)
    return least === most ? (least as string) : `${least} to ${most}`
  }
  return [
    fault,
    String(rounds.length),
    `${sum(({ lost }) => lost)} of ${sum(({ held }) => held)}`,
    range(({ reference }) => reference),
    range(({ resumed }) => resumed),
    String(sum(({ after }) => after.events)),
    range(({ before }) => before.lag),
    range(({ after }) => after.lag),
  ]
}

function whole(value: number): string {
  return Number.isFinite(value) ? value.toFixed(0) : 'never'
}

function ms(value: number): string {
  return Number.isFinite(value) ? `${value.toFixed(0)} ms` : 'never'
}
