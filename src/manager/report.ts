/** Builds the reports of `stats()` and `health()`. Both take constant time: every figure is a running count. */
import type { Backend } from '../backend.ts'
import type { LeaseTable, Scheduled } from '../lease/lease-table.ts'
import type { Releaser } from '../release/releaser.ts'
import type { LoadMeter } from '../renewal/load-meter.ts'
import type { Health, HealthReason, LeaseManagerStats, Tally } from '../stats.ts'
import type { Clock } from '../time/clock.ts'
import type { Scheduler } from '../time/scheduler.ts'
import type { WaitingLines } from '../waiting/waiting-line.ts'
import type { Connectivity } from './connectivity.ts'

export interface ReportParts {
  readonly backend: Backend
  readonly clock: Clock
  readonly connectivity: Connectivity
  readonly scheduler: Scheduler<Scheduled>
  readonly tally: Tally
  readonly table: LeaseTable
  readonly lines: WaitingLines
  readonly releaser: Releaser
  readonly load: LoadMeter
}

export function reportOf(parts: ReportParts): LeaseManagerStats {
  const { backend, clock, connectivity, scheduler, tally, table, lines, releaser, load } = parts
  const { reservations } = table
  const now = {
    held: table.size,
    jeopardy: table.jeopardy,
    waiting: lines.size + reservations.size,
    queues: lines.count + reservations.size - reservations.queued,
    undoing: releaser.undoing,
    connection: connectivity.state,
    watching: backend.watching,
    timers: scheduler.timers,
    load: load.report,
  }
  return tally.report(now, clock.now())
}

export function healthOf({ connectivity, table, load }: ReportParts): Health {
  const reasons: HealthReason[] = []
  if (connectivity.state !== 'connected') reasons.push(connectivity.state)
  if (table.jeopardy > 0) reasons.push('jeopardy')
  if (load.report.overloaded) reasons.push('overload')
  return { ok: reasons.length === 0, reasons }
}
