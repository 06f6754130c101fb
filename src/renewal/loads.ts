/** The load meters of a manager: one for each server, made when it is first needed. */
import type { Routing } from '../backend.ts'
import type { LeaseTable } from '../lease/lease-table.ts'
import type { LoadReport, Tally } from '../stats.ts'
import type { Clock } from '../time/clock.ts'
import type { Alarms } from '../time/scheduler.ts'
import { LoadMeter } from './load-meter.ts'

export interface LoadsParts {
  readonly clock: Clock
  readonly scheduler: Alarms
  /** None if there is one server. */
  readonly routing: Routing | undefined
  readonly table: Pick<LeaseTable, 'demand'>
  readonly tally: Pick<Tally, 'forget'>
  readonly tell: (report: LoadReport) => void
}

export class Loads {
  readonly #parts: LoadsParts
  readonly #meters = new Map<number, LoadMeter>()

  constructor(parts: LoadsParts) {
    this.#parts = parts
  }

  of(route: number): LoadMeter {
    const present = this.#meters.get(route)
    if (present) return present
    const { clock, scheduler, routing, table, tell } = this.#parts
    const meter = new LoadMeter({
      clock,
      scheduler,
      survey: () => (routing ? table.demand.of(route) : table.demand),
      tell: (report) => tell(routing ? { ...report, route: nameOf(routing, route) } : report),
    })
    this.#meters.set(route, meter)
    return meter
  }

  /** The server is gone, and so is what was measured there. */
  forget(route: number): void {
    this.#meters.get(route)?.close()
    this.#meters.delete(route)
    this.#parts.tally.forget(route)
  }

  /** Whether renewals wait to be sent there. */
  isBehind(route: number): boolean {
    return this.#meters.get(route)?.behind ?? false
  }

  /** Whether renewals have waited there for long: see `LoadMeter.pressed`. */
  isPressed(route: number): boolean {
    return this.#meters.get(route)?.pressed ?? false
  }

  /** The longest wait fraction at a server; 0 if no renewal was ever sent there. */
  lagOf(route: number): number {
    return this.#meters.get(route)?.lag ?? 0
  }

  /** Whether renewals do not keep up at any server. */
  get overloaded(): boolean {
    for (const { overloaded } of this.#meters.values()) if (overloaded) return true
    return false
  }

  /** All servers together. */
  get report(): LoadReport {
    const { routing, table } = this.#parts
    if (routing === undefined) return this.of(0).report
    const meters = [...this.#meters.values()]
    const { behind, demand } = table.demand
    return {
      lag: Math.max(0, ...meters.map(({ lag }) => lag)),
      behind,
      demand,
      capacity: meters.reduce((sum, { capacity }) => sum + capacity, 0),
      overloaded: this.overloaded,
    }
  }
}

/** What operators call a server. */
function nameOf(routing: Routing, route: number): string {
  return routing.views().find((view) => view.route === route)?.name ?? 'no server'
}
