/** Promises the columns of `release` and what of them is compared. Pure. */
import type { ReleaseFigures } from './release-figures.ts'
import type { Column, Comparable } from './comparison-report.ts'
import { formatNumber } from './table.ts'

export const columns: readonly Column<ReleaseFigures>[] = [
  { heading: '1,000 callers: releases/s', cell: ({ crowdPerSecond }) => formatNumber(crowdPerSecond) },
  { heading: 'Node µs/release', cell: ({ crowdNodeCpu }) => formatNumber(crowdNodeCpu, 2) },
  { heading: 'Redis µs/release', cell: ({ crowdRedisCpu }) => formatNumber(crowdRedisCpu, 2) },
  { heading: 'close: keys/s', cell: ({ closePerSecond }) => formatNumber(closePerSecond) },
  { heading: 'left behind', cell: ({ left }) => formatNumber(left) },
]

export const compared: readonly Comparable<ReleaseFigures>[] = [
  { label: 'releases per second', value: ({ crowdPerSecond }) => crowdPerSecond, best: Math.max },
  { label: 'keys per second of close', value: ({ closePerSecond }) => closePerSecond, best: Math.max },
]
