/** Promises the columns of `loss` and what of them is compared. Pure. */
import type { LossFigures } from './loss-figures.ts'
import type { Column, Comparable } from './comparison-report.ts'
import { formatNumber } from './table.ts'

export const columns: readonly Column<LossFigures>[] = [
  {
    heading: 'notice after p50/p99/max ms',
    cell: ({ median, p99, max }) => [median, p99, max].map((delay) => formatNumber(delay, 1)).join(' / '),
  },
  { heading: 'noticed', cell: ({ noticed, deleted }) => `${formatNumber(noticed)} of ${formatNumber(deleted)}` },
  { heading: 'unfounded', cell: ({ unfounded }) => formatNumber(unfounded) },
  { heading: 'Redis ms/s', cell: ({ redisCpu }) => formatNumber(redisCpu, 1) },
]

export const compared: readonly Comparable<LossFigures>[] = [
  { label: 'notice, median', value: ({ median }) => median, best: Math.min },
  { label: 'notice, p99', value: ({ p99 }) => p99, best: Math.min },
  { label: 'Redis CPU while holding', value: ({ redisCpu }) => redisCpu, best: Math.min },
]
