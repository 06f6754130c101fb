/** Builds the reports of `stats()` and `health()`. Every figure is a running count, so both take constant time, however many leases there are. */
import type { Backend, Routing } from '../backend.ts'
import type { LeaseTable, Scheduled } from '../lease/lease-table.ts'
import type { Releaser } from '../release/releaser.ts'
import type { Loads } from '../renewal/loads.ts'
import type { Health, HealthReason, KeeperStats, LeaseManagerStats, RouteStats, Tally } from '../stats.ts'
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
  readonly loads: Loads
  readonly routing: Routing | undefined
  readonly keeper?: { readonly stats: KeeperStats } | undefined
}

export function reportOf(parts: ReportParts): LeaseManagerStats {
  const { backend, clock, connectivity, scheduler, tally, table, lines, releaser, loads, routing } = parts
  const { reservations } = table
  const time = clock.now()
  const now = {
    held: table.size,
    jeopardy: table.jeopardy,
    waiting: lines.size + reservations.size,
    queues: lines.count + reservations.size - reservations.queued,
    undoing: releaser.undoing,
    connection: connectivity.state,
    watching: backend.watching,
    timers: scheduler.timers,
    keeper: parts.keeper?.stats,
    load: loads.report,
    routes: routing ? routesOf(routing, parts, time) : [],
    members: backend.members ?? [],
  }
  return tally.report(now, time)
}

function routesOf(routing: Routing, { tally, table, loads }: ReportParts, time: number): readonly RouteStats[] {
  return routing.views().map(({ route, name, usable, watching }) => ({
    name,
    leases: table.demand.of(route).leases,
    usable,
    watching,
    lag: loads.lagOf(route),
    roundTrip: tally.roundTripOf(route, time),
  }))
}

export function healthOf({ connectivity, table, loads }: ReportParts): Health {
  const reasons: HealthReason[] = []
  if (connectivity.state !== 'connected') reasons.push(connectivity.state)
  if (table.jeopardy > 0) reasons.push('jeopardy')
  if (loads.overloaded) reasons.push('overload')
  return { ok: reasons.length === 0, reasons }
}
