/** Promises the columns of `handoff` and what of them is compared. Pure. */
import type { HandoffFigures } from './handoff-figures.ts'
import type { Column, Comparable } from './comparison-report.ts'
import { formatNumber } from './table.ts'

export const columns: readonly Column<HandoffFigures>[] = [
  { heading: 'grants/s', cell: ({ grantsPerSecond }) => formatNumber(grantsPerSecond, 1) },
  {
    heading: 'release to grant mean/p50/p99 ms',
    cell: ({ gapMean, gapP50, gapP99 }) => [gapMean, gapP50, gapP99].map((gap) => formatNumber(gap, 2)).join(' / '),
  },
  { heading: 'to another ms', cell: ({ gapToAnother }) => formatNumber(gapToAnother, 2) },
  { heading: 'repeated %', cell: ({ repeated }) => formatNumber(repeated * 100) },
  { heading: 'fairness', cell: ({ fairness }) => formatNumber(fairness, 2) },
  { heading: 'starved', cell: ({ starved }) => formatNumber(starved) },
  { heading: 'overlaps', cell: ({ overlaps }) => formatNumber(overlaps) },
  { heading: 'commands/grant', cell: ({ commandsPerGrant }) => formatNumber(commandsPerGrant, 1) },
  { heading: 'scripts/grant', cell: ({ scriptsPerGrant }) => formatNumber(scriptsPerGrant, 1) },
  { heading: 'Node µs/grant', cell: ({ nodeCpu }) => formatNumber(nodeCpu) },
  { heading: 'Redis µs/grant', cell: ({ redisCpu }) => formatNumber(redisCpu) },
]

export const compared: readonly Comparable<HandoffFigures>[] = [
  { label: 'grants per second', value: ({ grantsPerSecond }) => grantsPerSecond, best: Math.max },
  { label: 'release to grant, mean', value: ({ gapMean }) => gapMean, best: Math.min },
  { label: 'to another', value: ({ gapToAnother }) => gapToAnother, best: Math.min },
  { label: 'fairness', value: ({ fairness }) => fairness, best: Math.max },
  { label: 'Node CPU per grant', value: ({ nodeCpu }) => nodeCpu, best: Math.min },
  { label: 'Redis CPU per grant', value: ({ redisCpu }) => redisCpu, best: Math.min },
]
