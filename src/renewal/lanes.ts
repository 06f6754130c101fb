/**
 * The ways to the servers: for each a queue of renewals, a congestion window and a load meter of its own. A server that is silent, or too slow,
 * delays no renewal of another one. With one server there is one lane.
 */
import type { Routing } from '../backend.ts'
import type { LeaseCohort, LeaseRecord } from '../lease/lease-record.ts'
import type { LeaseTable, Scheduled } from '../lease/lease-table.ts'
import type { Clock } from '../time/clock.ts'
import type { Scheduler } from '../time/scheduler.ts'
import { BatchesUnderWay } from './batches-under-way.ts'
import type { LoadMeter } from './load-meter.ts'
import type { Loads } from './loads.ts'
import { BundlingQueue, PlainQueue, type RenewalQueue } from './renewal-queue.ts'

/**
 * Places that one of several servers is asked for in one turn of the event loop. Each is a call: after a failover, thousands of them in one go would
 * delay the renewals of other servers.
 */
const IN_ONE_TURN = 128

export interface LanesParts {
  readonly clock: Clock
  readonly scheduler: Scheduler<Scheduled>
  readonly table: LeaseTable
  readonly loads: Loads
  readonly batchSize: number
  /** None if there is one server. */
  readonly routing: Routing | undefined
}

export interface Lane {
  readonly route: number
  readonly queue: RenewalQueue
  readonly underWay: BatchesUnderWay
  readonly load: LoadMeter
}

export class Lanes {
  readonly #parts: LanesParts
  readonly #lanes = new Map<number, Lane>()
  /** Since last asked, a lane got cohorts from another one. */
  #moved = false

  constructor(parts: LanesParts) {
    this.#parts = parts
    if (parts.routing === undefined) this.#of(0)
  }

  /** In the order in which they were first needed. */
  [Symbol.iterator](): IterableIterator<Lane> {
    return this.#lanes.values()
  }

  /** Adds a queued cohort, in parts if its keys belong to several servers by now. */
  add(cohort: LeaseCohort): void {
    const { routing } = this.#parts
    if (routing === undefined) this.#of(0).queue.add(cohort)
    else for (const part of this.divide(cohort, routing)) this.#of(part.route).queue.add(part)
  }

  /** The cohorts of the next batch. Keys that belong to another server by now change lanes. */
  take(lane: Lane): LeaseCohort[] {
    const { clock, routing } = this.#parts
    const answered = clock.now() + lane.underWay.window.roundTrip
    for (;;) {
      const cohorts = lane.queue.take(answered)
      if (routing === undefined || cohorts.length === 0) return cohorts
      const staying: LeaseCohort[] = []
      for (const cohort of cohorts) {
        for (const part of this.divide(cohort, routing)) {
          if (part.route === lane.route) {
            staying.push(part)
          } else {
            part.renewal = 'queued'
            this.#moved = true
            this.#of(part.route).queue.add(part)
          }
        }
      }
      if (staying.length > 0) return staying
    }
  }

  /** Queued cohorts whose server has changed do not wait for the old one, which may hang. */
  reroute(cohorts: Iterable<LeaseCohort> = this.#parts.table.cohorts()): void {
    const { routing } = this.#parts
    if (routing === undefined) return
    for (const cohort of cohorts) {
      if (cohort.renewal !== 'queued') continue
      const before = cohort.route
      // In the old queue it counts as taken once it is sent.
      for (const part of this.divide(cohort, routing)) {
        if (part !== cohort || part.route !== before) this.#of(part.route).queue.add(part)
      }
    }
  }

  /** Whether a lane has got cohorts from another one since the last call. */
  takeMoved(): boolean {
    const moved = this.#moved
    this.#moved = false
    return moved
  }

  /** @param route all servers without one. */
  forgetOverdue(route: number | undefined): void {
    for (const lane of this) if (route === undefined || lane.route === route) lane.underWay.forgetOverdue()
  }

  /** The cohorts of a server, and of all servers without one. Cohorts may come and go during the iteration. */
  *cohortsOf(route: number | undefined): Generator<LeaseCohort, undefined> {
    const { table, routing } = this.#parts
    for (const cohort of table.cohorts()) {
      if (route === undefined || routing === undefined) {
        yield cohort
        continue
      }
      if (cohort.renewal === undefined) {
        for (const part of this.divide(cohort, routing)) if (part.route === route) yield part
      } else if (cohort.route === route || routing.routeOf(cohort.low) === route) {
        // It is looked at when it is sent, or when it comes back. Its old server may never answer.
        yield cohort
      }
    }
  }

  /** Splits a cohort that is not under way so that each part belongs to one server. The cohort itself is one of the parts. */
  divide(cohort: LeaseCohort, routing: Routing): readonly LeaseCohort[] {
    if (cohort.size === 0) return []
    const route = routing.routeOf(cohort.low)
    cohort.route = route
    if (isOfOneRoute(cohort, route, routing)) return [cohort]
    let others: Map<number, LeaseRecord[]> | undefined
    let place = cohort.low
    let current = route
    for (const record of cohort.members) {
      if (record.rank !== place) {
        place = record.rank
        current = routing.routeOf(place)
      }
      if (current === route) continue
      others ??= new Map()
      const some = others.get(current)
      if (some) some.push(record)
      else others.set(current, [record])
    }
    if (others === undefined) return [cohort]
    return [cohort, ...[...others].map(([other, records]) => this.#split(cohort, records, other))]
  }

  #split(cohort: LeaseCohort, records: readonly LeaseRecord[], route = cohort.route): LeaseCohort {
    const { table, scheduler } = this.#parts
    const due = scheduler.dueOf(cohort.alarm)
    const rest = cohort.split(records)
    rest.route = route
    rest.apart = cohort.apart
    rest.renewal = cohort.renewal
    table.enlist(rest)
    scheduler.schedule(rest.alarm, due)
    return rest
  }

  /** Lanes to servers that serve nothing any more. One with leases that wait is kept: they change lanes when they are sent. */
  #forgetGone(): void {
    const { routing, loads } = this.#parts
    if (routing === undefined) return
    const present = new Set(routing.views().map(({ route }) => route))
    for (const { route, queue, underWay } of this) {
      if (present.has(route) || !underWay.isIdle || queue.peek()) continue
      this.#lanes.delete(route)
      loads.forget(route)
    }
  }

  #of(route: number): Lane {
    const present = this.#lanes.get(route)
    if (present) return present
    const { clock, scheduler, batchSize, routing, loads } = this.#parts
    const queue = routing
      ? new BundlingQueue(scheduler.tick, {
          places: routing.places,
          batchSize,
          split: (cohort, records) => this.#split(cohort, records),
        })
      : new PlainQueue(scheduler.tick, batchSize)
    this.#forgetGone()
    const lane = {
      route,
      queue,
      underWay: new BatchesUnderWay(clock, routing ? IN_ONE_TURN : Number.POSITIVE_INFINITY),
      load: loads.of(route),
    }
    this.#lanes.set(route, lane)
    return lane
  }
}

/** Looks at the places and not at the leases: the records of thousands of leases are all over the memory. */
function isOfOneRoute({ low, high, size }: LeaseCohort, route: number, routing: Routing): boolean {
  if (high - low > size) return false
  for (let place = low + 1; place <= high; place += 1) if (routing.routeOf(place) !== route) return false
  return true
}
