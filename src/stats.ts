/** What a manager counts, and its report. Its size is fixed. */
import type { QuorumMemberStats } from './backend.ts'
import { Histogram, type HistogramSummary } from './structures/histogram.ts'
import type { LossReason } from './rules/lease-state.ts'

/** Whether the renewals of a manager keep up. */
export interface LoadReport {
  /** The longest time within the last second that a renewal waited to be sent, as a fraction of its ttl. At 2/3 leases are lost. */
  readonly lag: number
  /** Leases whose renewals wait to be sent. */
  readonly behind: number
  /** Renewals per second that the server confirmed while others waited; 0 if none ever had to wait. */
  readonly capacity: number
  /** Renewals per second that the leases need: three per ttl each. */
  readonly demand: number
  /** Whether a renewal has waited for more than a sixth of its ttl within the last second. */
  readonly overloaded: boolean
  /** The server that an event is about, if there are several. `stats()` adds up all of them, and lists each in `routes`. */
  readonly route?: string
}

/** One of several servers. */
export interface RouteStats {
  /** Its host and port. */
  readonly name: string
  /** Leases on keys that it serves. */
  readonly leases: number
  /** Whether requests can be sent there now. */
  readonly usable: boolean
  /** Whether it notifies the manager of changes now. */
  readonly watching: boolean
  /** See `LoadReport`. */
  readonly lag: number
  /** Time from the sending of a request to its answer. */
  readonly roundTrip: HistogramSummary
}

/** What another thread does for the leases while the event loop is blocked: see the option `keeper`. */
export interface KeeperStats {
  /** Whether the thread can ask the server now. Until it can for the first time, no lease outlives a blocked event loop. */
  readonly connected: boolean
  /** Leases that it would renew. */
  readonly kept: number
  /** How many renewals of leases were confirmed to it. */
  readonly renewals: number
}

/** The report of `manager.stats()`. Counts start at the manager's creation; durations are in ms. */
export interface LeaseManagerStats {
  /** Leases held now, including those in jeopardy. */
  readonly held: number
  /** Held leases whose last renewal failed. */
  readonly jeopardy: number
  /** Callers that have asked for a lock and have no answer yet, including those in line behind another. */
  readonly waiting: number
  /** Keys that these callers have asked for: one queue for each. */
  readonly queues: number
  /** Keys being deleted: unanswered releases, leases lost by time, and keys acquired for callers that no longer wait. */
  readonly undoing: number
  /** Leases that were acquired or adopted. */
  readonly acquired: number
  /** Locks that callers asked for and did not get, by cause. Many keys in one call count one by one; those of `acquireAll` count as one. */
  readonly unacquired: Readonly<Record<UnacquiredCause, number>>
  /** How often the manager asked the backend for a lock, in all and per acquired lease (0 before the first lease). */
  readonly asks: number
  readonly asksPerGrant: number
  /** How often waiters had a cause to ask again, by cause. Waiters follow some causes later, or not at all. */
  readonly wakeUps: Readonly<Record<WakeUpCause, number>>
  readonly released: number
  readonly lost: Readonly<Record<LossReason, number>>
  /** Renewals that were confirmed. */
  readonly renewals: number
  /** Renewals that failed or were overdue. */
  readonly failures: number
  /** Requests sent to the backend, each for a batch of keys. */
  readonly requests: number
  /** Whether the backend can be asked now. */
  readonly connection: ConnectionState
  /** How often the connection was lost. */
  readonly disconnections: number
  /** Whether the server notifies the manager of changes now: see the option `watch`. */
  readonly watching: boolean
  /** Timers armed now: 1 while the manager holds or waits for anything, otherwise 0. */
  readonly timers: number
  /** None without the option `keeper`. */
  readonly keeper: KeeperStats | undefined
  /** Whether renewals keep up, and how far behind they are if not. */
  readonly load: LoadReport
  /** How long callers waited for the locks that they got. */
  readonly wait: HistogramSummary
  /** How long leases were held that have ended. */
  readonly hold: HistogramSummary
  /** How late renewals were sent after they fell due. */
  readonly renewalLag: HistogramSummary
  /** Time from the sending of a request to its answer. */
  readonly roundTrip: HistogramSummary
  /** The servers, if the backend has several; otherwise empty. */
  readonly routes: readonly RouteStats[]
  /** The members, if the backend is a quorum; otherwise empty. */
  readonly members: readonly QuorumMemberStats[]
}

/**
 * `handOver`: this process gave the lock back. `change`: the server reported a change of the key. `reconnect`: notifications may have been
 * missed. `timeout`: the pause of the strategy ended, or the holder's ttl.
 */
export type WakeUpCause = 'handOver' | 'change' | 'reconnect' | 'timeout'

/**
 * `refused`: another had the lock, and the caller did not wait. `timedOut`: another had it for as long as the caller waited. `unavailable`: the
 * backend did not answer. `cancelled`: the caller or `close` ended the call, or the caller's own code failed.
 */
export type UnacquiredCause = 'refused' | 'timedOut' | 'unavailable' | 'cancelled'

/** `connecting`: until the backend can be asked for the first time. `closed`: `close` has been called. */
export type ConnectionState = 'connecting' | 'connected' | 'disconnected' | 'closed'

/**
 * `connecting`, `disconnected`: the backend cannot be asked, yet or any more. `closed`: `close` has been called. `jeopardy`: renewals fail, and
 * leases will be lost. `overload`: renewals do not keep up.
 */
export type HealthReason = Exclude<ConnectionState, 'connected'> | 'jeopardy' | 'overload'

/** The report of `manager.health()`. */
export interface Health {
  /** Whether there are no reasons: the manager can take on work. */
  readonly ok: boolean
  readonly reasons: readonly HealthReason[]
}

/** What is measured: see the fields of these names in `LeaseManagerStats`. */
export type MeasurementName = 'wait' | 'hold' | 'renewalLag' | 'roundTrip'

/** A duration that was just measured, `count` times the same. In ms. */
export interface Measurement {
  readonly name: MeasurementName
  readonly duration: number
  readonly count: number
}

/** The running counts behind the report. */
export class Tally {
  acquired = 0
  readonly unacquired: Record<UnacquiredCause, number> = { refused: 0, timedOut: 0, unavailable: 0, cancelled: 0 }
  asks = 0
  readonly wakeUps: Record<WakeUpCause, number> = { handOver: 0, change: 0, reconnect: 0, timeout: 0 }
  released = 0
  renewals = 0
  failures = 0
  requests = 0
  disconnections = 0
  readonly lost: Record<LossReason, number> = { expired: 0, taken: 0, missing: 0, maxHold: 0 }
  readonly #histograms: Readonly<Record<MeasurementName, Histogram>> = {
    wait: new Histogram(),
    hold: new Histogram(),
    renewalLag: new Histogram(),
    roundTrip: new Histogram(),
  }
  /** Round trips by route, if there are several. */
  readonly #roundTrips = new Map<number, Histogram>()
  readonly #isHeard: () => boolean
  readonly #onMeasured: (measurement: Measurement) => void

  /** @param isHeard whether anybody wants the measurements: only then `onMeasured` is called with each. */
  constructor(isHeard: () => boolean, onMeasured: (measurement: Measurement) => void) {
    this.#isHeard = isHeard
    this.#onMeasured = onMeasured
  }

  /** @param duration ms. @param now the end of the duration, on the clock. @param count how many took just as long. */
  measure(name: MeasurementName, duration: number, now: number, count = 1): void {
    this.#histograms[name].record(duration, now, count)
    if (this.#isHeard()) this.#onMeasured({ name, duration: Math.max(duration, 0), count })
  }

  /** A request was answered. @param route its route, if there are several. */
  onAnswered(took: number, now: number, route: number | undefined): void {
    this.measure('roundTrip', took, now)
    if (route === undefined) return
    const present = this.#roundTrips.get(route) ?? new Histogram()
    this.#roundTrips.set(route, present)
    present.record(took, now)
  }

  roundTripOf(route: number, now: number): HistogramSummary {
    return (this.#roundTrips.get(route) ?? new Histogram()).summary(now)
  }

  /** The server is gone. */
  forget(route: number): void {
    this.#roundTrips.delete(route)
  }

  report(now: CurrentFigures, time: number): LeaseManagerStats {
    const { wait, hold, renewalLag, roundTrip } = this.#histograms
    // Each by its name: V8 takes a hundred times longer to spread one object into so large another.
    return {
      held: now.held,
      jeopardy: now.jeopardy,
      waiting: now.waiting,
      queues: now.queues,
      undoing: now.undoing,
      connection: now.connection,
      watching: now.watching,
      timers: now.timers,
      keeper: now.keeper,
      load: now.load,
      routes: now.routes,
      members: now.members,
      acquired: this.acquired,
      unacquired: { ...this.unacquired },
      asks: this.asks,
      asksPerGrant: this.acquired === 0 ? 0 : this.asks / this.acquired,
      wakeUps: { ...this.wakeUps },
      released: this.released,
      lost: { ...this.lost },
      renewals: this.renewals,
      failures: this.failures,
      requests: this.requests,
      disconnections: this.disconnections,
      wait: wait.summary(time),
      hold: hold.summary(time),
      renewalLag: renewalLag.summary(time),
      roundTrip: roundTrip.summary(time),
    }
  }
}

/** The figures that tell what is going on now. */
export type CurrentFigures = Pick<
  LeaseManagerStats,
  | 'held'
  | 'jeopardy'
  | 'waiting'
  | 'queues'
  | 'undoing'
  | 'watching'
  | 'timers'
  | 'keeper'
  | 'load'
  | 'routes'
  | 'members'
  | 'connection'
>
