/** Promises the columns of `hold` and what of them is compared. Pure. */
import type { HoldFigures } from './hold-figures.ts'
import type { Column, Comparable } from './comparison-report.ts'
import { formatNumber } from './table.ts'

export const columns: readonly Column<HoldFigures>[] = [
  { heading: 'acquires/s', cell: ({ acquiresPerSecond }) => formatNumber(acquiresPerSecond) },
  { heading: 'renewals/s', cell: ({ renewalsPerSecond }) => formatNumber(renewalsPerSecond) },
  { heading: 'Node µs/renewal', cell: ({ nodeCpu }) => formatNumber(nodeCpu, 2) },
  { heading: 'Redis µs/renewal', cell: ({ redisCpu }) => formatNumber(redisCpu, 2) },
  { heading: 'commands/s', cell: ({ commandsPerSecond }) => formatNumber(commandsPerSecond) },
  { heading: 'heap B/lock', cell: ({ heap }) => formatNumber(heap) },
  { heading: 'left KiB', cell: ({ left }) => formatNumber(left / 1_024) },
  {
    heading: 'loop delay p50/p99/max ms',
    cell: ({ delayP50, delayP99, delayMax }) =>
      [delayP50, delayP99, delayMax].map((delay) => formatNumber(delay, 1)).join(' / '),
  },
  { heading: 'timers', cell: ({ timers }) => formatNumber(timers) },
  { heading: 'oldest % of ttl', cell: ({ oldest }) => formatNumber(oldest * 100, 1) },
  { heading: 'alive', cell: ({ alive }) => formatNumber(alive) },
  { heading: 'lost', cell: ({ lost }) => formatNumber(lost) },
]

export const compared: readonly Comparable<HoldFigures>[] = [
  { label: 'Node CPU per renewal', value: ({ nodeCpu }) => nodeCpu, best: Math.min },
  { label: 'Redis CPU per renewal', value: ({ redisCpu }) => redisCpu, best: Math.min },
  { label: 'heap per lock', value: ({ heap }) => heap, best: Math.min },
]
