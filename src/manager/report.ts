/** Builds the report of `stats()`. */
import type { Backend, Routing } from '../backend.ts'
import type { LeaseTable, Scheduled } from '../lease/lease-table.ts'
import type { Releaser } from '../release/releaser.ts'
import type { Loads } from '../renewal/loads.ts'
import type { LeaseManagerStats, RouteStats, Tally } from '../stats.ts'
import type { Scheduler } from '../time/scheduler.ts'
import type { WaitingLines } from '../waiting/waiting-line.ts'

export interface ReportParts {
  readonly backend: Backend
  readonly scheduler: Scheduler<Scheduled>
  readonly tally: Tally
  readonly table: LeaseTable
  readonly lines: WaitingLines
  readonly releaser: Releaser
  readonly loads: Loads
  readonly routing: Routing | undefined
}

export function reportOf(parts: ReportParts): LeaseManagerStats {
  const { backend, scheduler, tally, table, lines, releaser, loads, routing } = parts
  return tally.report({
    held: table.size,
    jeopardy: table.jeopardy,
    waiting: lines.size + table.reservations.size,
    queues: countQueues(lines, table),
    undoing: releaser.undoing,
    watching: backend.watching,
    timers: scheduler.timers,
    load: loads.report,
    routes: routing ? routesOf(routing, parts) : [],
  })
}

function routesOf(routing: Routing, { tally, table, loads }: ReportParts): readonly RouteStats[] {
  const leases = new Map<number, number>()
  for (const { members } of table.cohorts()) {
    for (const { rank } of members) {
      const route = routing.routeOf(rank)
      leases.set(route, (leases.get(route) ?? 0) + 1)
    }
  }
  return routing.views().map(({ route, name, usable, watching }) => ({
    name,
    leases: leases.get(route) ?? 0,
    usable,
    watching,
    lag: loads.of(route).lag,
    roundTrip: tally.roundTripOf(route),
  }))
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
