/** Promises the columns of `scale`, and what of them is compared. Pure. */
import type { HoldFigures } from './hold-figures.ts'
import type { Column, Comparable } from './comparison-report.ts'
import { formatNumber } from './table.ts'

export const columns: readonly Column<HoldFigures>[] = [
  { heading: 'locks', cell: ({ locks }) => formatNumber(locks) },
  { heading: 'Node ms/s', cell: ({ nodeLoad }) => formatNumber(nodeLoad, 1) },
  { heading: 'Redis ms/s', cell: ({ redisLoad }) => formatNumber(redisLoad, 1) },
  { heading: 'Node µs/renewal', cell: ({ nodeCpu }) => formatNumber(nodeCpu, 2) },
  { heading: 'Redis µs/renewal', cell: ({ redisCpu }) => formatNumber(redisCpu, 2) },
  { heading: 'acquires/s', cell: ({ crowdPerSecond }) => formatNumber(crowdPerSecond) },
  { heading: 'Node µs/acquire', cell: ({ crowdCpu }) => formatNumber(crowdCpu, 1) },
  { heading: 'heap B/lock', cell: ({ heap }) => formatNumber(heap) },
  { heading: 'left KiB', cell: ({ left }) => formatNumber(left / 1_024) },
  { heading: 'loop delay p99 ms', cell: ({ delayP99 }) => formatNumber(delayP99, 1) },
  { heading: 'max ms', cell: ({ delayMax }) => formatNumber(delayMax, 1) },
  { heading: 'timers', cell: ({ timers }) => formatNumber(timers) },
  { heading: 'oldest % of ttl', cell: ({ oldest }) => formatNumber(oldest * 100, 1) },
  { heading: 'lost', cell: ({ lost }) => formatNumber(lost) },
]

export const compared: readonly Comparable<HoldFigures>[] = [
  { label: 'Node CPU', value: ({ nodeLoad }) => nodeLoad, best: Math.min },
  { label: 'Redis CPU', value: ({ redisLoad }) => redisLoad, best: Math.min },
  { label: 'heap per lock', value: ({ heap }) => heap, best: Math.min },
]
