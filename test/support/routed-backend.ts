/**
 * A backend with several servers in memory: places, a map that changes under way, and faults of one server. A test may hold the manager to its side
 * of the port: a request has keys of one route, in the order of their places.
 */
import type {
  AcquireOutcome,
  Backend,
  BackendListener,
  BackendSettings,
  ChangeOutcome,
  HandOverEntry,
  HandOverOutcome,
  LockEntry,
  LockView,
  ReleaseEntry,
  Routing,
  RouteView,
  Unknown,
} from 'leasewheel'
import { type ManualClock, MemoryBackend, MemoryStore } from 'leasewheel/memory'

export type Asked = 'acquire' | 'handOver' | 'renew' | 'release' | 'verify'

/** A request, as it came from the manager. */
export interface RoutedRequest {
  readonly operation: Asked
  readonly at: number
  readonly keys: readonly string[]
  /** The routes of its keys at this moment, each once. */
  readonly routes: readonly number[]
  /** The places of its keys, in their order. */
  readonly places: readonly number[]
}

/** The servers, and which of them serves which place. Several backends may share them. */
export class MemoryCluster {
  readonly places: number
  readonly stores: readonly MemoryStore[]
  /** By place. -1: no server is known. */
  readonly map: number[]
  readonly #clock: ManualClock | undefined
  readonly #onMoved = new Set<() => void>()

  constructor({ places = 64, servers = 3, clock }: { places?: number; servers?: number; clock?: ManualClock } = {}) {
    this.places = places
    this.#clock = clock
    this.stores = Array.from({ length: servers }, () => new MemoryStore(clock && { clock }))
    this.map = Array.from({ length: places }, (_, place) => Math.floor((place / places) * servers))
  }

  get now(): number {
    return this.#clock?.now() ?? performance.now()
  }

  /** The number before a colon, if the name has one; otherwise a hash. @param name with its prefix. */
  placeOf(name: string): number {
    const chosen = /\b(\d+):/.exec(name)?.[1]
    if (chosen !== undefined) return Number(chosen) % this.places
    let hash = 0x811c9dc5
    for (let index = 0; index < name.length; index += 1) hash = Math.imul(hash ^ name.charCodeAt(index), 0x01000193)
    hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b)
    return ((hash ^ (hash >>> 13)) >>> 0) % this.places
  }

  /** The store that serves a name now. */
  storeOf(name: string): MemoryStore {
    return this.stores[this.map[this.placeOf(name)] ?? -1] as MemoryStore
  }

  /** Another server serves a place from now on, with the keys that it had. */
  move(place: number, route: number): void {
    const from = this.stores[this.map[place] ?? -1]
    const to = this.stores[route]
    this.map[place] = route
    if (from && to && from !== to) {
      // Fences of a key keep growing.
      const least = from.nextFence()
      while (to.nextFence() < least);
      for (const name of from.keys()) {
        if (this.placeOf(name) !== place) continue
        to.set(name, from.get(name) ?? '', from.remaining(name) ?? 0)
        from.delete(name)
      }
    }
    for (const onMoved of this.#onMoved) onMoved()
  }

  /** Calls back after each change of the map. */
  onMoved(callback: () => void): void {
    this.#onMoved.add(callback)
  }
}

interface Absence {
  readonly promise: Promise<void>
  readonly resolve: () => void
}

export class RoutedBackend implements Backend {
  readonly joints = true
  readonly stays = true
  readonly cluster: MemoryCluster
  /** The servers as this backend reaches them, with their faults: `block`, `fail`, `dropAnswers`. */
  readonly nodes: readonly MemoryBackend[]
  /** The requests since `takeRequests`, and all. */
  readonly requests: RoutedRequest[] = []
  readonly all: RoutedRequest[] = []
  readonly routing: Routing
  readonly #faults = new Map<number, Error>()
  /** Servers without a connection: `ready` waits for them. */
  readonly #absences = new Map<number, Absence>()
  #prefix = ''
  #listener: BackendListener | undefined

  constructor(cluster: MemoryCluster, { watch = true }: { readonly watch?: boolean } = {}) {
    this.cluster = cluster
    this.nodes = cluster.stores.map((store) => new MemoryBackend({ store, watch }))
    this.routing = {
      places: cluster.places,
      placeOf: (key) => cluster.placeOf(this.#prefix + key),
      routeOf: (place) => cluster.map[place] ?? -1,
      faultOf: (route) => this.#faults.get(route),
      views: () => this.#views(),
    }
    cluster.onMoved(() => this.#settleAbsences())
  }

  get watching(): boolean {
    return this.nodes.some(({ watching }) => watching)
  }

  /** What the manager listens with. */
  get listener(): BackendListener {
    if (this.#listener === undefined) throw new Error('The backend has not been opened')
    return this.#listener
  }

  /** Plays a server that refuses everything with this error; `undefined` ends it. */
  fail(route: number, error: Error | undefined): void {
    if (error) this.#faults.set(route, error)
    else this.#faults.delete(route)
    this.nodes[route]?.fail(error)
  }

  /** Plays a server that is gone: requests wait for it, and fail with this reason. */
  disconnect(route: number, error: Error): void {
    let resolve = (): void => undefined
    const promise = new Promise<void>((done) => {
      resolve = done
    })
    this.#absences.set(route, { promise, resolve })
    this.fail(route, error)
  }

  reconnect(route: number): void {
    const absence = this.#absences.get(route)
    this.#absences.delete(route)
    this.fail(route, undefined)
    absence?.resolve()
  }

  open(settings: BackendSettings, listener: BackendListener): void {
    this.#prefix = settings.prefix
    this.#listener = listener
    for (const [route, node] of this.nodes.entries()) {
      node.open(settings, {
        onRecovered: () => listener.onRecovered(route),
        onSuspect: () => listener.onSuspect(route),
        onMissed: () => listener.onMissed(route),
        onChange: (keys) => listener.onChange(keys, route),
        onUnwatched: () => listener.onUnwatched(route),
        onForgotten: () => listener.onForgotten(route),
        onError: (error) => listener.onError(error),
      })
    }
  }

  ready(route = 0): Promise<void> | undefined {
    return this.#absences.get(route)?.promise
  }

  acquire(entries: readonly LockEntry[], watch?: boolean): Promise<readonly AcquireOutcome[]> {
    return this.#ask('acquire', entries, (node, some) => node.acquire(some, watch))
  }

  handOver(entries: readonly HandOverEntry[], watch?: boolean): Promise<readonly HandOverOutcome[]> {
    return this.#ask('handOver', entries, (node, some) => node.handOver(some, watch))
  }

  renew(entries: readonly LockEntry[], watch?: boolean): Promise<readonly ChangeOutcome[]> {
    return this.#ask('renew', entries, (node, some) => node.renew(some, watch))
  }

  release(entries: readonly ReleaseEntry[]): Promise<readonly ChangeOutcome[]> {
    return this.#ask('release', entries, (node, some) => node.release(some))
  }

  verify(entries: readonly LockEntry[]): Promise<readonly ChangeOutcome[]> {
    return this.#ask('verify', entries, (node, some) => node.verify(some))
  }

  async inspect(key: string): Promise<LockView | null> {
    return this.#nodeOf(key).inspect(key)
  }

  async forceRelease(key: string): Promise<boolean> {
    return this.#nodeOf(key).forceRelease(key)
  }

  async close(): Promise<void> {
    this.#settleAbsences()
    await Promise.all(this.nodes.map((node) => node.close()))
  }

  /** The requests since the last call. */
  takeRequests(): RoutedRequest[] {
    return this.requests.splice(0)
  }

  #nodeOf(key: string): MemoryBackend {
    const node = this.nodes[this.routing.routeOf(this.routing.placeOf(key))]
    if (node === undefined) throw new Error('No server is known for this key')
    return node
  }

  async #ask<E extends LockEntry, O>(
    operation: Asked,
    entries: readonly E[],
    work: (node: MemoryBackend, some: readonly E[]) => Promise<readonly O[]>,
  ): Promise<readonly (O | Unknown)[]> {
    const places = entries.map(({ key }) => this.routing.placeOf(key))
    const routes = [...new Set(places.map((place) => this.routing.routeOf(place)))]
    const request = { operation, at: this.cluster.now, keys: entries.map(({ key }) => key), routes, places }
    this.requests.push(request)
    this.all.push(request)
    const outcomes: (O | Unknown)[] = []
    await Promise.all(
      routes.map(async (route) => {
        const indices = [...entries.keys()].filter((index) => this.routing.routeOf(places[index] ?? 0) === route)
        const node = this.nodes[route]
        const error = new Error('No server is known for this key')
        const answers = node
          ? await work(
              node,
              indices.map((index) => entries[index] as E),
            )
          : []
        for (const [position, index] of indices.entries()) {
          outcomes[index] = answers[position] ?? { type: 'unknown', error }
        }
      }),
    )
    return outcomes
  }

  #views(): readonly RouteView[] {
    const routes = [...new Set(this.cluster.map)].filter((route) => route >= 0).sort((a, b) => a - b)
    return routes.map((route) => ({
      route,
      name: `node-${route}:6379`,
      usable: !this.#absences.has(route) && !this.#faults.has(route),
      watching: this.nodes[route]?.watching ?? false,
    }))
  }

  /** The map has changed, or the backend is closed: whoever waits for a server looks again. */
  #settleAbsences(): void {
    for (const [route, { resolve }] of this.#absences) {
      resolve()
      const error = this.#faults.get(route)
      if (error) this.disconnect(route, error)
    }
  }
}

/** How many calls a backend makes for these requests: one for each place in each of them. */
export function callsOf(requests: readonly RoutedRequest[], operation: Asked = 'renew'): number {
  const wanted = requests.filter((request) => request.operation === operation)
  return wanted.reduce((sum, { places }) => sum + new Set(places).size, 0)
}
