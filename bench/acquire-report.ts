/** Promises the columns of `acquire` and what of them is compared. Pure. */
import type { AcquireFigures } from './acquire-figures.ts'
import type { Column, Comparable } from './comparison-report.ts'
import { formatNumber } from './table.ts'

export const columns: readonly Column<AcquireFigures>[] = [
  {
    heading: 'one caller: pair mean/p50/p99 µs',
    cell: ({ pairMean, pairP50, pairP99 }) =>
      [pairMean, pairP50, pairP99].map((latency) => formatNumber(latency, 1)).join(' / '),
  },
  { heading: '1,000 callers: acquires/s', cell: ({ crowdPerSecond }) => formatNumber(crowdPerSecond) },
  { heading: 'Node µs/acquire', cell: ({ crowdNodeCpu }) => formatNumber(crowdNodeCpu, 2) },
  { heading: 'Redis µs/acquire', cell: ({ crowdRedisCpu }) => formatNumber(crowdRedisCpu, 2) },
  { heading: 'in one go: keys/s', cell: ({ manyPerSecond }) => formatNumber(manyPerSecond) },
]

export const compared: readonly Comparable<AcquireFigures>[] = [
  { label: 'pair of one caller, mean', value: ({ pairMean }) => pairMean, best: Math.min },
  { label: 'pair, median', value: ({ pairP50 }) => pairP50, best: Math.min },
  { label: 'acquires per second', value: ({ crowdPerSecond }) => crowdPerSecond, best: Math.max },
  { label: 'keys per second in one go', value: ({ manyPerSecond }) => manyPerSecond, best: Math.max },
]
