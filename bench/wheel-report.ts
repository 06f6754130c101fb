/** Promises the columns of `wheel`. Pure. */
import type { Column } from './comparison-report.ts'
import { formatNumber } from './table.ts'
import type { WheelMeasurement } from './wheel-measurement.ts'

export const columns: readonly Column<WheelMeasurement>[] = [
  { heading: 'entries', cell: ({ entries }) => formatNumber(entries) },
  { heading: 'schedule ns', cell: ({ schedule }) => formatNumber(schedule) },
  { heading: 'reschedule ns', cell: ({ reschedule }) => formatNumber(reschedule) },
  { heading: 'fire ns', cell: ({ fire }) => formatNumber(fire) },
]
