/** Wires the parts of a manager. Each part declares an interface of what it needs from the others. */
import { ABORTS, type AbortWatch } from '../acquire/abort-watch.ts'
import { Adoptions } from '../acquire/adoption.ts'
import { BulkAcquisitions } from '../acquire/bulk-acquisition.ts'
import { Calls } from '../acquire/calls.ts'
import { FirstAttempts } from '../acquire/first-attempt.ts'
import { Granting } from '../acquire/granting.ts'
import { type Backend, type BackendSettings, FENCE_KEY, type Routing } from '../backend.ts'
import type { Catalogue } from '../catalogue.ts'
import { Standings } from '../claims/standings.ts'
import { Cohort } from '../lease/cohort.ts'
import type { KeptLeases } from '../keeper/kept-leases.ts'
import type { LeasePort } from '../lease/lease.ts'
import type { LeaseRecord } from '../lease/lease-record.ts'
import { LeaseTable, type Scheduled, type Subscribers } from '../lease/lease-table.ts'
import { tokensOf } from '../lease/token.ts'
import type { AcquireSettings, ManagerSettings } from '../options/settings.ts'
import { type Connectable, createBackend } from '../redis/create-backend.ts'
import { Inquiries } from '../overview/inquiries.ts'
import { Members } from '../overview/members.ts'
import { Releaser } from '../release/releaser.ts'
import { Loads } from '../renewal/loads.ts'
import { Renewer } from '../renewal/renewer.ts'
import { Verifier } from '../renewal/verifier.ts'
import { Dispatch } from '../requests/dispatch.ts'
import { type LeaseManagerStats, type LoadReport, Tally } from '../stats.ts'
import { type Clock, SystemClock } from '../time/clock.ts'
import { GuardedClock } from '../time/guarded-clock.ts'
import { Scheduler, type Tick } from '../time/scheduler.ts'
import { WaitingLines } from '../waiting/waiting-line.ts'
import { ChangeDesk } from './change-desk.ts'
import { Connectivity } from './connectivity.ts'
import { keep } from './keep.ts'
import { leasePort } from './lease-port.ts'
import { reportOf } from './report.ts'
import { standingPort } from './standing-port.ts'
import { Usages } from './usages.ts'

/** The manager, as its parts see it. */
export interface Face extends Subscribers {
  /** The `LeaseManager` itself, for those who trace it. */
  readonly leases: object
  /** Reports a fault of the user's own code. */
  report(fault: unknown): void
  /** Reports a fault of a connection. */
  reportFault(error: Error): void
}

export class Assembly {
  readonly settings: ManagerSettings
  /** The settings of a call to `tryAcquire` without options. */
  readonly tryDefaults: AcquireSettings
  readonly subscribers: Face
  readonly clock: Clock
  readonly backend: Backend
  /** None if there is one server. */
  readonly routing: Routing | undefined
  readonly tally: Tally
  readonly aborts: AbortWatch = ABORTS
  readonly batchSize: number
  readonly driftFactor: number
  readonly createToken: () => string
  readonly seed: number
  readonly scheduler: Scheduler<Scheduled>
  readonly lines: WaitingLines
  /** None unless the option `keeper` asks for one. */
  readonly keeper: KeptLeases | undefined
  readonly table: LeaseTable
  readonly usages: Usages
  readonly loads: Loads
  readonly dispatch: Dispatch
  readonly renewer: Renewer
  readonly releaser: Releaser
  readonly verifier: Verifier
  readonly port: LeasePort<LeaseRecord>
  readonly granting: Granting
  readonly calls: Calls
  readonly attempts: FirstAttempts
  readonly bulks: BulkAcquisitions
  readonly adoptions: Adoptions
  readonly desk: ChangeDesk
  readonly inquiries: Inquiries
  readonly members: Members
  readonly connectivity: Connectivity
  readonly standings: Standings
  /** The key that the backend needs for itself, if our prefix leads to it. */
  readonly forbiddenKey: string | undefined

  constructor(connection: Connectable, settings: ManagerSettings, tryDefaults: AcquireSettings, face: Face) {
    this.settings = settings
    this.tryDefaults = tryDefaults
    this.tally = new Tally(
      () => face.listenerCount('measured') > 0,
      (measurement) => void face.emit('measured', measurement),
    )
    this.batchSize = settings.batchSize
    this.driftFactor = settings.driftFactor
    this.createToken = tokensOf(settings.owner)
    // The machine's clock never throws.
    this.clock = settings.clock instanceof SystemClock ? settings.clock : new GuardedClock(settings.clock, this.onFault)
    this.backend = createBackend(connection, settings.replicas)
    this.routing = this.backend.routing
    this.scheduler = new Scheduler<Scheduled>(this.clock, this)
    this.lines = new WaitingLines(this.scheduler, this.tally, (key, begun) =>
      this.table.reservations.onLine(key, begun),
    )
    this.standings = new Standings(standingPort(this), settings)
    this.subscribers = this.standings.before(face)
    this.seed = this.random()
    this.keeper = keep(this)
    this.table = new LeaseTable(this)
    this.usages = new Usages(this)
    this.loads = new Loads(this)
    this.dispatch = new Dispatch(this)
    this.renewer = new Renewer(this)
    this.releaser = new Releaser(this)
    this.verifier = new Verifier(this)
    this.port = leasePort(this)
    this.granting = new Granting(this)
    this.calls = new Calls(this)
    this.attempts = new FirstAttempts(this)
    this.bulks = new BulkAcquisitions(this)
    this.adoptions = new Adoptions(this)
    this.desk = new ChangeDesk(this)
    this.inquiries = new Inquiries(this)
    this.members = new Members(this)
    this.connectivity = new Connectivity(this)
    this.forbiddenKey = this.#open()
  }

  get leases(): object {
    return this.subscribers.leases
  }

  readonly onFault = (fault: unknown): void => this.subscribers.report(fault)

  readonly random = (): number => {
    try {
      return this.settings.random()
    } catch (fault) {
      // Renewals need a number, too, and must not fail for this.
      this.onFault(fault)
      // Any number will do.
      return 0.5
    }
  }

  /** Whether keys of leases are watched now, if `added` more leases are held. @param route whose leases count: watching costs each server memory. */
  readonly isWatching = (added = 0, route?: number): boolean => {
    const { watch, watchLimit } = this.settings
    const held = route === undefined ? this.table.size : this.table.demand.of(route).leases
    return watch && held + added <= watchLimit
  }

  // Calls from the wheel.

  readonly onDue = (item: Scheduled, tick: Tick): void => {
    if (item instanceof Cohort) this.renewer.onDue(item, tick)
    else this.table.apply(item, { type: 'observed', now: tick.now })
  }

  readonly onTickEnd = (): void => this.renewer.pump()

  get backendSettings(): BackendSettings {
    const { clock, credentials, owner, prefix, replicas, watch } = this.settings
    const { timeout, ttl } = this.tryDefaults
    return { prefix, timeout, ttl, watch, clock, credentials, owner, replicas }
  }

  // Calls from the load meters.

  readonly tell = (report: LoadReport): void => void this.subscribers.emit('overload', report)

  // Calls about leases.

  readonly isHeardOf = (): boolean => this.subscribers.listenerCount('acquired') > 0
  readonly isQueued = (key: string): boolean => this.lines.get(key) !== undefined
  readonly isInUse = (record: LeaseRecord): boolean => this.usages.has(record)
  readonly onAbandoned = (record: LeaseRecord): void => this.releaser.abandon(record)
  readonly onVacated = (record: LeaseRecord, givenBack: number | undefined): void =>
    this.lines.onVacated(record.key, givenBack, record.has.fairness)

  // Calls about other managers.

  readonly stats = (): LeaseManagerStats => reportOf(this)
  readonly ask = <T>(work: (catalogue: Catalogue) => Promise<T>): Promise<T> =>
    this.inquiries.askCatalogue('Managers could not be asked for', work)

  // Facts about the server and the other parts.

  /** The route of a key now, if there are several. */
  readonly routeOf = (key: string): number | undefined => this.routing?.routeOf(this.routing.placeOf(key))

  readonly faultOf = (key: string): Error | undefined => {
    const route = this.routeOf(key)
    return (route === undefined ? undefined : this.routing?.faultOf(route)) ?? this.backend.fault
  }
  readonly isBehind = (key: string): boolean => this.loads.isBehind(this.routeOf(key) ?? 0)
  readonly isPressed = (key: string): boolean => this.loads.isPressed(this.routeOf(key) ?? 0)
  readonly isOffered = (key: string): boolean => this.lines.isOffered(key)
  readonly isReliable = (key: string): boolean => this.desk.isReliable(this.routeOf(key))
  readonly onUnreliable = (key: string): void => this.desk.onUnreliable(this.routeOf(key))

  /** The server does not notify a manager of its own changes. */
  readonly onChangedHere = (key: string): void => {
    this.table.reservations.hint(key)
    this.lines.get(key)?.first?.hint()
  }

  /** Connects. @returns the key that the backend needs for itself. */
  #open(): string | undefined {
    const { backend, connectivity, desk, renewer, subscribers } = this
    const { prefix } = this.settings
    backend.open(this.backendSettings, {
      onRecovered: (route) => renewer.onRecovered(route),
      onConnected: () => connectivity.onConnected(),
      onDisconnected: (error) => connectivity.onDisconnected(error),
      onSuspect: (route) => desk.onChange(undefined, route),
      onMissed: (route) => desk.onMissed(route),
      onChange: (keys, route) => desk.onChange(keys, route),
      onUnwatched: (route) => desk.wakeAll(route),
      onForgotten: (route) => desk.onUnreliable(route),
      onError: (error) => subscribers.reportFault(error),
    })
    this.members.start()
    const ownKey = FENCE_KEY.startsWith(prefix) ? FENCE_KEY.slice(prefix.length) : undefined
    return backend.reservedKey ?? ownKey
  }
}
