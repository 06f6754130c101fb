/** Promises the columns of `overload` and what of them is compared. Pure. */
import type { Column, Comparable } from './comparison-report.ts'
import type { OverloadFigures } from './overload-figures.ts'
import { formatNumber } from './table.ts'

export const columns: readonly Column<OverloadFigures>[] = [
  { heading: 'renewals needed/s', cell: ({ needed }) => formatNumber(needed) },
  { heading: 'done/s', cell: ({ done }) => formatNumber(done) },
  { heading: 'keepable', cell: ({ keepable }) => formatNumber(keepable) },
  { heading: 'held', cell: ({ held }) => formatNumber(held) },
  { heading: 'alive', cell: ({ alive }) => formatNumber(alive) },
  { heading: 'lost', cell: ({ lost }) => formatNumber(lost) },
]

export const compared: readonly Comparable<OverloadFigures>[] = [
  { label: 'held', value: ({ held }) => held, best: Math.max },
  { label: 'alive', value: ({ alive }) => alive, best: Math.max },
]
