/**
 * The port over several simulated servers: what `ClusterBackend` does with its nodes, in virtual time. Its map may be older than the truth. A node
 * that does not serve a key any more says who does; the map is asked for after that, while a node is silent, and from time to time.
 */
import type {
  AcquireOutcome,
  BackendListener,
  BackendSettings,
  ChangeOutcome,
  HandOverEntry,
  HandOverOutcome,
  LockEntry,
  LockView,
  ReleaseEntry,
  Routing,
} from 'leasewheel'
import type { Way } from './member.ts'
import type { Random } from './random.ts'
import { ReportedRequests } from './reported-requests.ts'
import {
  type BackendObserver,
  type Asked,
  type LockRequest,
  type ObservedBackend,
  type Operation,
  type Outcome,
  type RequestEntry,
  SimulatedBackend,
} from './simulated-backend.ts'
import { PLACES, Redirection, type SimulatedNodes } from './simulated-nodes.ts'
import type { SimulatedProcess } from './simulated-process.ts'
import type { Timeline } from './timeline.ts'
import type { Verdict } from './violation.ts'

/** How long it takes from a reason to ask for a new map until it is there, and how long it is used without a reason, in ms. */
const REFRESHED_AFTER = [25, 500] as const
const REFRESHED_EVERY = [5_000, 10_000] as const

export interface ClusterBackendParts {
  readonly timeline: Timeline
  readonly random: Random
  readonly process: SimulatedProcess
  readonly nodes: SimulatedNodes
  /** By route. */
  readonly ways: readonly Way[]
  readonly observer: BackendObserver
  readonly verdict: Verdict
  readonly errors: number
  readonly follows: boolean
}

interface Change {
  readonly promise: Promise<void>
  readonly settle: () => void
}

export class SimulatedClusterBackend implements ObservedBackend {
  readonly joints = true
  readonly routing: Routing
  readonly #parts: ClusterBackendParts
  readonly #requests: ReportedRequests
  readonly #nodes: readonly SimulatedBackend[]
  /** By place: the route, and since when, in true time. */
  readonly #map: number[]
  readonly #mappedAt: number[] = Array.from({ length: PLACES }, () => Number.NEGATIVE_INFINITY)
  /** Keys that are to be watched, and were asked about where they cannot be. */
  readonly #unwatched = new Set<string>()
  #listener: BackendListener | undefined
  #timeout = 0
  #wished = false
  #closed = false
  /** The next change of the map. */
  #change: Change | undefined

  constructor(parts: ClusterBackendParts) {
    const { nodes, ways } = parts
    this.#parts = parts
    this.#requests = new ReportedRequests(parts)
    this.#map = Array.from({ length: PLACES }, (_, place) => nodes.ownerOf(place))
    this.#nodes = nodes.all.map(({ server }, route) => {
      const { link } = ways[route] as Way
      return new SimulatedBackend({ ...parts, random: parts.random.fork(), server, link, nodes, route })
    })
    this.routing = {
      places: PLACES,
      placeOf: (key) => nodes.placeOf(key),
      routeOf: (place) => this.#map[place] as number,
      faultOf: () => undefined,
      views: () =>
        this.#nodes.map((node, route) => {
          const usable = Number.isFinite(node.connectedSince())
          return { route, name: `node-${route}`, usable, watching: node.watching }
        }),
    }
  }

  get muted(): number {
    return this.#requests.muted
  }

  set muted(share: number) {
    this.#requests.muted = share
  }

  get watching(): boolean {
    return this.#nodes.every(({ watching }) => watching)
  }

  routeOf(key: string): number {
    return this.#map[this.#parts.nodes.placeOf(key)] as number
  }

  mappedAt(key: string): number {
    return this.#mappedAt[this.#parts.nodes.placeOf(key)] as number
  }

  connectedSince(key: string): number {
    return Math.max(this.#node(this.routeOf(key)).connectedSince(), this.mappedAt(key))
  }

  toldSince(key: string): number {
    const { nodes } = this.#parts
    return Math.max(this.#node(this.routeOf(key)).toldSince(), this.mappedAt(key), nodes.acquirableSince(key))
  }

  open(settings: BackendSettings, listener: BackendListener): void {
    this.#listener = listener
    this.#timeout = settings.timeout
    for (const node of this.#nodes) node.open(settings, listener)
    this.#refreshLater()
  }

  ready(route = 0): Promise<void> | undefined {
    const ready = this.#node(route).ready()
    if (ready === undefined) return undefined
    this.#change ??= nextChange()
    return Promise.race([ready, this.#change.promise])
  }

  acquire(entries: readonly LockEntry[], watch = false): Promise<readonly AcquireOutcome[]> {
    return this.#carryOut('acquire', entries, watch)
  }

  handOver(entries: readonly HandOverEntry[], watch = false): Promise<readonly HandOverOutcome[]> {
    const send = this.#sender<HandOverOutcome>('handOver', entries)
    return this.#requests.handOver(entries, watch, send)
  }

  renew(entries: readonly LockEntry[], watch = false): Promise<readonly ChangeOutcome[]> {
    return this.#carryOut('renew', entries, watch)
  }

  release(entries: readonly ReleaseEntry[]): Promise<readonly ChangeOutcome[]> {
    return this.#carryOut('release', entries)
  }

  verify(entries: readonly LockEntry[]): Promise<readonly ChangeOutcome[]> {
    return this.#carryOut('verify', entries)
  }

  inspect(key: string): Promise<LockView | null> {
    return this.#askAbout(key, (node, asking) => node.inspect(key, asking))
  }

  forceRelease(key: string): Promise<boolean> {
    return this.#askAbout(key, (node, asking) => node.forceRelease(key, asking))
  }

  async close(): Promise<void> {
    this.#closed = true
    this.#change?.settle()
    await Promise.all(this.#nodes.map((node) => node.close()))
  }

  #node(route: number): SimulatedBackend {
    return this.#nodes[route] as SimulatedBackend
  }

  #carryOut<O extends AcquireOutcome | ChangeOutcome>(
    operation: Operation,
    entries: readonly LockEntry[],
    watch = false,
  ): Promise<readonly O[]> {
    return this.#requests.carryOut<O>(operation, entries, watch, this.#sender<O>(operation, entries))
  }

  /** P36: a request has keys of one server, in the order of their places. */
  #sender<O extends Outcome>(
    operation: Asked,
    entries: readonly LockEntry[],
  ): (request: LockRequest) => Promise<readonly O[]> {
    const { verdict, nodes } = this.#parts
    const places = entries.map(({ key }) => nodes.placeOf(key))
    const [first = 0] = places
    const route = this.routing.routeOf(first)
    const isOne = places.every((place) => this.routing.routeOf(place) === route)
    verdict.expect(isOne, 'P36', () => `one ${operation} has keys of several servers: ${places.join(', ')}`)
    const isOrdered = places.every((place, index) => index === 0 || place >= (places[index - 1] as number))
    verdict.expect(isOrdered, 'P36', () => `one ${operation} has keys that are not in the order of their places`)
    return async (request) => {
      const since = this.#parts.process.clock.now()
      return (await this.#send(route, request, since)) as readonly O[]
    }
  }

  /** @param since when the request left the manager, on the clock of the process. @param hops redirections that were followed. */
  async #send(route: number, request: LockRequest, since: number, hops = 0): Promise<readonly Outcome[]> {
    const { process } = this.#parts
    let answered = false
    process.sleep(() => {
      if (!answered) this.#wish()
    }, this.#timeout)
    const outcomes = [...(await this.#sendTo(route, request))]
    answered = true
    for (const indices of redirectedIn(outcomes)) {
      const redirection = redirectionOf(outcomes[indices[0] as number]) as Redirection
      const { route: to, type } = redirection
      const entries = indices.map((index) => request.entries[index] as RequestEntry)
      for (const { key } of entries) this.#onRedirected(redirection, key, request.watch)
      const pause = hops === 0 ? 0 : 2 ** hops
      if (type === 'TRYAGAIN' || process.clock.now() + pause - since > this.#timeout / 2) continue
      // oxlint-disable-next-line no-await-in-loop -- one after the other is simple enough here
      if (pause > 0) await new Promise<void>((resolve) => process.sleep(resolve, pause))
      const further = { ...request, entries, asking: type === 'ASK' }
      // oxlint-disable-next-line no-await-in-loop
      const answers = await this.#send(to, further, since, hops + 1)
      for (const [position, index] of indices.entries()) outcomes[index] = answers[position] as Outcome
    }
    return outcomes
  }

  async #sendTo(route: number, request: LockRequest): Promise<readonly Outcome[]> {
    try {
      return await this.#node(route).send(request)
    } catch (error) {
      this.#wish()
      return request.entries.map(() => ({ type: 'unknown', error: error as Error }))
    }
  }

  async #askAbout<T>(key: string, ask: (node: SimulatedBackend, asking: boolean) => Promise<T>): Promise<T> {
    const since = this.#parts.process.clock.now()
    let route = this.routeOf(key)
    let asking = false
    for (;;) {
      try {
        // oxlint-disable-next-line no-await-in-loop
        return await ask(this.#node(route), asking)
      } catch (error) {
        if (!(error instanceof Redirection)) throw error
        this.#onRedirected(error, key, false)
        if (error.type === 'TRYAGAIN' || this.#parts.process.clock.now() - since > this.#timeout / 2) throw error
        route = error.route
        asking = error.type === 'ASK'
      }
    }
  }

  #onRedirected(redirection: Redirection, key: string, watch: boolean): void {
    const { type, route } = redirection
    this.#parts.observer.onRedirected(redirection)
    if (type === 'MOVED') {
      this.#learn(this.#parts.nodes.placeOf(key), route)
      this.#wish()
    } else if (type === 'ASK' && watch) {
      this.#unwatched.add(key)
    }
  }

  #learn(place: number, route: number): void {
    if (this.#map[place] === route) return
    this.#map[place] = route
    this.#mappedAt[place] = this.#parts.timeline.now
    this.#change?.settle()
    this.#change = undefined
    const keys = [...this.#unwatched].filter((key) => this.#parts.nodes.placeOf(key) === place)
    for (const key of keys) this.#unwatched.delete(key)
    if (keys.length === 0) return
    this.#parts.observer.onTold()
    this.#listener?.onChange(keys, route)
  }

  /** There is reason to think that the map is outdated. */
  #wish(): void {
    if (this.#wished || this.#closed) return
    this.#wished = true
    const { process, random } = this.#parts
    process.sleep(
      () => {
        this.#wished = false
        this.#refresh()
      },
      random.between(...REFRESHED_AFTER),
    )
  }

  #refreshLater(): void {
    const { process, random } = this.#parts
    process.sleep(
      () => {
        if (this.#closed) return
        this.#refresh()
        this.#refreshLater()
      },
      random.between(...REFRESHED_EVERY),
    )
  }

  /** Any node knows the truth. */
  #refresh(): void {
    const { nodes, ways } = this.#parts
    const isThere = nodes.all.some(({ server }, route) => {
      const { link } = ways[route] as Way
      return server.condition === 'up' && !link.isBlocked('up') && !link.isBlocked('down')
    })
    if (this.#closed) return
    if (!isThere) this.#wish()
    else for (let place = 0; place < PLACES; place += 1) this.#learn(place, nodes.ownerOf(place))
  }
}

function redirectionOf(outcome: Outcome | undefined): Redirection | undefined {
  return outcome?.type === 'unknown' && outcome.error instanceof Redirection ? outcome.error : undefined
}

/** The indices of what is redirected; what is redirected in the same way goes together. */
function redirectedIn(outcomes: readonly Outcome[]): Iterable<readonly number[]> {
  const byTarget = new Map<string, number[]>()
  for (const [index, outcome] of outcomes.entries()) {
    const redirection = redirectionOf(outcome)
    if (redirection === undefined) continue
    const target = `${redirection.type} ${redirection.route}`
    const indices = byTarget.get(target)
    if (indices) indices.push(index)
    else byTarget.set(target, [index])
  }
  return byTarget.values()
}

function nextChange(): Change {
  let settle = (): void => undefined
  const promise = new Promise<void>((resolve) => {
    settle = resolve
  })
  return { promise, settle }
}
