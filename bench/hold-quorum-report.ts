/** Promises the columns of `hold` on a quorum, how its rows compare, and who could not hold as many locks. Pure. */
import type { Column, Line } from './comparison-report.ts'
import type { HoldFigures } from './hold-figures.ts'
import { formatNumber } from './table.ts'

export type QuorumHoldFigures = HoldFigures & {
  /** Renewals over those that are due, one for each lock and third of the ttl: less than 1 for who cannot keep up. */
  readonly kept: number
}

/** After the label of a row that is no quorum. */
export const ONE_SERVER = ', one server'

/** Below this a library cannot keep up: its renewals come later than each third of the ttl. */
const KEEPS_UP = 0.9

export const columns: readonly Column<QuorumHoldFigures>[] = [
  { heading: 'locks', cell: ({ locks }) => formatNumber(locks) },
  { heading: 'acquires/s', cell: ({ acquiresPerSecond }) => formatNumber(acquiresPerSecond) },
  { heading: 'renewals/s', cell: ({ renewalsPerSecond }) => formatNumber(renewalsPerSecond) },
  { heading: 'of those due', cell: ({ kept }) => formatNumber(kept, 2) },
  { heading: 'Node µs/renewal', cell: ({ nodeCpu }) => formatNumber(nodeCpu, 2) },
  { heading: 'server µs/renewal', cell: ({ redisCpu }) => formatNumber(redisCpu, 2) },
  { heading: 'Node % of a core', cell: ({ nodeLoad }) => formatNumber(nodeLoad / 10, 1) },
  { heading: 'server % of a core', cell: ({ redisLoad }) => formatNumber(redisLoad / 10, 1) },
  { heading: 'commands/s', cell: ({ commandsPerSecond }) => formatNumber(commandsPerSecond) },
  { heading: 'heap B/lock', cell: ({ heap }) => formatNumber(heap) },
  {
    heading: 'loop delay p99/max ms',
    cell: ({ delayP99, delayMax }) => `${formatNumber(delayP99, 1)} / ${formatNumber(delayMax, 1)}`,
  },
  { heading: 'oldest % of ttl', cell: ({ oldest }) => formatNumber(oldest * 100, 1) },
  { heading: 'alive', cell: ({ alive }) => formatNumber(alive) },
  { heading: 'lost', cell: ({ lost }) => formatNumber(lost) },
]

/** A line for each row with which leasewheel on the quorum can be compared, all per lock and renewal. */
export function formatRatios(rows: readonly Line<QuorumHoldFigures>[]): string {
  const ours = rows.find(({ label }) => label === 'leasewheel')?.figures
  const others = rows.filter(({ label }) => label !== 'leasewheel')
  if (ours === undefined || others.length === 0) return 'No ratio: that takes leasewheel on the quorum and another.'
  return others
    .map(({ label, figures }) => {
      const node = formatNumber(ours.nodeCpu / figures.nodeCpu, 2)
      const server = formatNumber(ours.redisCpu / figures.redisCpu, 2)
      return `leasewheel to ${label}, CPU per renewal: Node ${node}, each server at most ${server}`
    })
    .join('\n')
}

/** @returns a line for each row that is about fewer locks, or whose locks were not all kept in time. */
export function formatScaling(rows: readonly Line<QuorumHoldFigures>[], locks: number): readonly string[] {
  return rows.flatMap(({ label, figures }) => {
    const fewer =
      figures.locks < locks
        ? [
            `${label} held ${formatNumber(figures.locks)} locks, and not ${formatNumber(locks)}: compare what a renewal costs.`,
          ]
        : []
    const failed = figures.lost > 0 || figures.alive < figures.locks || figures.kept < KEEPS_UP
    if (!failed) return fewer
    const renewed = `${formatNumber(figures.kept * 100)} % of the renewals that were due`
    const gone = `${formatNumber(figures.lost)} locks lost, ${formatNumber(figures.locks - figures.alive)} keys missing`
    return [...fewer, `${label} could not keep up with ${formatNumber(figures.locks)} locks: ${renewed}, ${gone}.`]
  })
}
