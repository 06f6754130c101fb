/** Promises the columns of `quorum`, and what a member that hangs costs each library. Pure. */
import type { Column, Line } from './comparison-report.ts'
import type { QuorumFigures } from './quorum-figures.ts'
import { formatNumber } from './table.ts'

export const columns: readonly Column<QuorumFigures>[] = [
  {
    heading: 'all members: mean/p50/p99 µs',
    cell: ({ wholeMean, wholeP50, wholeP99 }) => formatLatencies(wholeMean, wholeP50, wholeP99),
  },
  {
    heading: 'one hangs: mean/p50/p99 µs',
    cell: ({ hungMean, hungP50, hungP99 }) => formatLatencies(hungMean, hungP50, hungP99),
  },
  { heading: 'acquires while one hangs', cell: ({ acquires }) => formatNumber(acquires) },
  { heading: 'given up', cell: ({ stuck }) => formatNumber(stuck) },
]

/** A line for each row. */
export function formatCost(rows: readonly Line<QuorumFigures>[], patience: number): string {
  return rows
    .map(({ label, figures }) => {
      const { hungMean, wholeMean, hungP50, wholeP50, stuck } = figures
      if (stuck > 0)
        return `${label}, one hangs: an acquire or a release was not done after ${formatNumber(patience)} ms`
      const ratios = [hungMean / wholeMean, hungP50 / wholeP50].map((ratio) => formatNumber(ratio, 2))
      return `${label}, one hangs to all members: mean ${ratios[0]}, median ${ratios[1]}`
    })
    .join('\n')
}

function formatLatencies(...latencies: readonly number[]): string {
  return latencies.map((latency) => formatNumber(latency, 0)).join(' / ')
}
