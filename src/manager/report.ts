/** Builds the report of `stats()`. */
import type { Backend } from '../backend.ts'
import type { LeaseTable, Scheduled } from '../lease/lease-table.ts'
import type { Releaser } from '../release/releaser.ts'
import type { LoadMeter } from '../renewal/load-meter.ts'
import type { LeaseManagerStats, Tally } from '../stats.ts'
import type { Scheduler } from '../time/scheduler.ts'
import type { WaitingLines } from '../waiting/waiting-line.ts'

export interface ReportParts {
  readonly backend: Backend
  readonly scheduler: Scheduler<Scheduled>
  readonly tally: Tally
  readonly table: LeaseTable
  readonly lines: WaitingLines
  readonly releaser: Releaser
  readonly load: LoadMeter
}

export function reportOf({ backend, scheduler, tally, table, lines, releaser, load }: ReportParts): LeaseManagerStats {
  return tally.report({
    held: table.size,
    jeopardy: table.jeopardy,
    waiting: lines.size + table.reservations.size,
    queues: countQueues(lines, table),
    undoing: releaser.undoing,
    watching: backend.watching,
    timers: scheduler.timers,
    load: load.report,
  })
}

/** Keys with waiters or a reservation. */
function countQueues(lines: WaitingLines, table: LeaseTable): number {
  const { count } = lines
  const { size: reserved } = table.reservations
  if (count === 0 || reserved === 0) return count + reserved
  let both = 0
  for (const { key } of lines.values()) if (table.reservations.has(key)) both += 1
  return count + reserved - both
}
