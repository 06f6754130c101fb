/** The nodes of a cluster, by route, and which of them serves a slot now. */
import type { BackendListener, BackendSettings, RouteView, ServerIdentity } from '../../backend.ts'
import { UnavailableError } from '../../errors.ts'
import { SystemClock } from '../../time/clock.ts'
import { ClusterNode } from './cluster-node.ts'
import { type ClusterSource, nameOf } from './cluster-source.ts'
import { type AskForMap, MapKeeper } from './map-keeper.ts'
import { RouteNews } from './route-news.ts'
import { RouteNumbers } from './route-numbers.ts'
import { type Address, readSlots, type SlotRange } from './slots-reply.ts'
import { SlotTable } from './slot-table.ts'
import { Strangers } from './strangers.ts'

/** ms without a request after which a node that serves no slots is left. */
const LINGERS = 5_000
/** ms that a connection to such a node may take. */
const MAY_CONNECT = 1_000

export interface ClusterMapParts {
  readonly source: ClusterSource
  readonly settings: BackendSettings
  readonly listener: BackendListener
  /** The slots have another node than before. */
  readonly onMoved: (slots: readonly number[], route: number) => void
  /** Whether slots are on the move whose leases nobody watches meanwhile. */
  readonly isUnsettled: () => boolean
  /** Another server answers for all slots of the route: it may lack what the last one confirmed. */
  readonly onOtherServer: (route: number) => void
}

export class ClusterMap {
  readonly #parts: ClusterMapParts
  readonly #table = new SlotTable()
  readonly #keeper: MapKeeper
  readonly #routes = new RouteNumbers()
  /** By route. */
  readonly #nodes: (ClusterNode | undefined)[] = []
  readonly #news: RouteNews
  /** The period of tracking of each route that the manager was last told of. */
  readonly #periods = new Map<number, number>()
  readonly #strangers: Strangers
  /** Where we reach the replicas of a route, as the last map said. */
  #replicas = new Map<number, readonly Address[]>()
  #questions = 0
  /** The node that named another last: it is the first to know the new map. */
  #teller: ClusterNode | undefined
  /** The routes of all nodes that have named others since the last map. */
  readonly #tellers = new Set<number>()
  #connected = false
  #referenced = true
  #closed = false

  constructor(parts: ClusterMapParts) {
    this.#parts = parts
    const { source, settings, listener, onOtherServer } = parts
    this.#strangers = new Strangers(source, settings)
    const { clock = new SystemClock() } = settings
    this.#news = new RouteNews({ clock, listener, onOtherServer })
    this.#keeper = new MapKeeper({
      clock,
      candidates: () => this.#candidates(),
      isTroubled: () => this.#table.hasHoles || this.serving.some(({ sound }) => !sound),
      isUnsettled: parts.isUnsettled,
      onMap: (ranges) => this.#onMap(ranges),
      onFault: (error) => listener.onError(error),
    })
    this.#keeper.start()
  }

  routeOf(slot: number): number {
    return this.#table.routeOf(slot)
  }

  nodeOf(slot: number): ClusterNode | undefined {
    return this.#nodes[this.#table.routeOf(slot)]
  }

  /** Whether the last map names the node for the slot. */
  confirms(slot: number, node: ClusterNode): boolean {
    return this.#table.mappedTo(slot) === node.route
  }

  /** Whether reports of the route concern anybody. */
  serves(route: number): boolean {
    return this.#table.serves(route)
  }

  slotsOf(route: number): number[] {
    return this.#table.slotsOf(route)
  }

  /** Asked about requests without an answer: a node without a fault has not answered. */
  faultOf(route: number): Error | undefined {
    const node = this.#nodes[route]
    const cause = node?.fault
    if (node && cause) return new UnavailableError(`Node ${node.name}: ${cause.message}`, undefined, { cause })
    if (node) return new UnavailableError(`Node ${node.name} has not answered in time`)
    return route < 0 ? this.#keeper.fault : undefined
  }

  /** Whether any node that serves slots can be asked now. */
  get connected(): boolean {
    return this.#connected
  }

  get fault(): Error | undefined {
    return this.#keeper.fault ?? this.serving.find(({ fault }) => fault)?.fault
  }

  /** The nodes that serve slots. */
  get serving(): ClusterNode[] {
    return this.#nodes.filter((node): node is ClusterNode => node !== undefined && this.serves(node.route))
  }

  /** Whether the last map had slots that nobody serves. */
  get hasHoles(): boolean {
    return this.#table.hasHoles
  }

  views(): RouteView[] {
    return this.serving.map(({ view }) => view)
  }

  /** All nodes that we are connected to, those without slots included. */
  identities(): readonly ServerIdentity[] {
    return this.#nodes.flatMap((node) => node?.pair.commands.identity ?? [])
  }

  ready(route: number): Promise<void> | undefined {
    if (this.#closed) return Promise.reject(new UnavailableError('The connection to Redis is closed'))
    if (!this.#table.known || route < 0) return this.#keeper.changed()
    return this.serves(route) ? this.#nodes[route]?.ready() : undefined
  }

  /** A node has named another for the slot. @returns the other one. */
  onMoved(slot: number, address: Address, from: ClusterNode): ClusterNode {
    const node = this.nodeAt(address)
    this.#teller = from
    this.#tellers.add(from.route)
    // Somebody may have known better meanwhile.
    if (this.#table.routeOf(slot) === from.route && this.#table.move(slot, node.route)) {
      this.#parts.onMoved([slot], node.route)
    }
    this.#keeper.wish()
    return node
  }

  /** @param address as other nodes know it. */
  nodeAt(address: Address): ClusterNode {
    return this.#node(this.#parts.source.reach(address))
  }

  /** A new map is wanted soon. */
  wish(): void {
    this.#keeper.wish()
  }

  /** Resolves after a map that was asked for from now on, or an attempt to get it. @returns whether there was one. */
  async fresh(): Promise<boolean> {
    await this.#keeper.fresh()
    return this.#keeper.fault === undefined
  }

  unref(): void {
    this.#referenced = false
    this.#keeper.unref()
    this.#news.unref()
    for (const part of [...this.#nodes, this.#strangers]) part?.unref()
  }

  async close(): Promise<void> {
    this.#closed = true
    this.#keeper.close()
    this.#news.close()
    await Promise.all([...this.#nodes, this.#strangers].map(async (part) => part?.close()))
  }

  #node({ host, port }: Address): ClusterNode {
    if (this.#closed) throw new UnavailableError('The connection to Redis is closed')
    const name = nameOf({ host, port })
    const route = this.#routes.of(name)
    const present = this.#nodes[route]
    if (present) return present
    const { source, settings, listener } = this.#parts
    const node = new ClusterNode({
      route,
      name,
      host,
      model: source.model({ host, port }),
      settings,
      listener: this.#listenerOf(listener, route, name),
      onUsable: (usable) => this.#news.onUsable(usable),
      onTrouble: () => {
        if (this.serves(route)) this.#keeper.wish()
      },
    })
    if (!this.#referenced) node.unref()
    this.#nodes[route] = node
    return node
  }

  /** What a node reports, with its route. A node that serves nothing concerns nobody. */
  #listenerOf(listener: BackendListener, route: number, name: string): BackendListener {
    return {
      onConnected: () => this.#tellConnection(),
      onDisconnected: () => this.#tellConnection(),
      onRecovered: () => listener.onRecovered(route),
      onSuspect: () => {
        this.#parts.onOtherServer(route)
        listener.onSuspect(route)
      },
      onMissed: () => listener.onMissed(route),
      onChange: (keys) => (keys ? this.#onKeys(keys, route) : this.#onAnyChange(route)),
      onUnwatched: () => listener.onUnwatched(route),
      onForgotten: () => listener.onForgotten(route),
      onError: (cause) => {
        if (!this.serves(route) || this.#closed) return
        listener.onError(new UnavailableError(`Node ${name}: ${cause.message}`, undefined, { cause }))
      },
    }
  }

  /** The cluster can be asked as long as one of its nodes can: requests for the others fail, and name them. */
  #tellConnection(): void {
    const connected = this.serving.some(({ pair }) => pair.commands.usable)
    if (connected === this.#connected) return
    this.#connected = connected
    const { listener } = this.#parts
    if (connected) listener.onConnected?.()
    else listener.onDisconnected?.(this.fault)
  }

  /** Any key of the node may have changed: it begins to report changes, or all of its keys are gone. */
  #onAnyChange(route: number): void {
    const node = this.#nodes[route]
    const period = node?.tracking?.period
    if (node === undefined || period === undefined) return
    const { listener } = this.#parts
    if (this.#periods.get(route) !== period) {
      this.#periods.set(route, period)
      if (!this.#news.onWatching(node)) listener.onChange(undefined, route)
      return
    }
    // A node that becomes a replica drops its keys as well: then they are at another by now, which answers for them.
    void this.#keeper.fresh().then(() => {
      if (this.serves(route) && !this.#closed) listener.onChange(undefined, route)
    })
  }

  /** Keys that leave a node with their slot have to be verified, at their new node. What a master names that has been replaced concerns nobody. */
  #onKeys(keys: readonly string[], route: number): void {
    const { listener } = this.#parts
    const tell = (): void => {
      if (!this.#closed && !this.#nodes[route]?.tracking?.paused) listener.onChange(keys, route)
    }
    if (this.#tellers.has(route)) void this.#keeper.fresh().then(tell)
    else tell()
  }

  #onMap(ranges: readonly SlotRange[]): void {
    const { source, onMoved } = this.#parts
    this.#strangers.onMap(
      ranges.flatMap(({ master, replicas }) => [master, ...replicas]).map((node) => source.reach(node)),
    )
    this.#replicas = new Map(
      ranges.map(({ master, replicas }) => [
        this.nodeAt(master).route,
        replicas.map((replica) => source.reach(replica)),
      ]),
    )
    this.#tellers.clear()
    const { moved, filled, promoted, demoted } = this.#table.apply(ranges, ({ master }) => this.nodeAt(master).route)
    this.#tellConnection()
    for (const [route, slots] of moved) onMoved(slots, route)
    for (const route of filled) this.#news.onRecovered(route)
    for (const route of promoted) this.#news.onPromoted(route)
    for (const node of this.#nodes) {
      if (node === undefined) continue
      if (this.serves(node.route)) {
        node.tracking?.resume()
        if (node.pair.commands.usable) this.#news.onUsable(node)
      } else {
        // A master that a replica has replaced names each key that is renewed at the new one.
        if (demoted.has(node.route)) node.tracking?.pause()
        this.#retire(node)
      }
    }
  }

  /** Slots may be on their way to a node without any, and one that has lost them may still name keys that left it. So it stays for a while. */
  #retire(node: ClusterNode): void {
    node.dismiss()
    this.#news.forget(node.route)
    if (node.idleFor < (node.pair.commands.usable ? LINGERS : MAY_CONNECT)) return
    this.#nodes[node.route] = undefined
    this.#routes.forget(node.name)
    this.#periods.delete(node.route)
    void node.close()
  }

  /** Replicas of nodes that are away or silent. Their connections are made before they take over. */
  #heirs(): ClusterNode[] {
    const troubled = this.serving.filter(({ sound }) => !sound)
    return troubled.flatMap(({ route }) => this.#replicas.get(route) ?? []).map((address) => this.#node(address))
  }

  async #candidates(): Promise<readonly AskForMap[]> {
    const heirs = new Set(this.#heirs())
    const sound = this.#nodes.filter((node): node is ClusterNode => node?.sound === true)
    sound.sort((one, other) => one.usableSince - other.usableSince)
    // An heir is the first to know that it has taken over, but one that is cut off from the others will never know who has. So they take turns.
    this.#questions += 1
    if (this.#questions % 2 === 0) sound.sort((one, other) => Number(heirs.has(other)) - Number(heirs.has(one)))
    if (this.#teller) sound.sort((one, other) => Number(other === this.#teller) - Number(one === this.#teller))
    this.#teller = undefined
    const connected = new Set([...sound, ...heirs].map(({ name }) => name))
    const strangers = await this.#strangers.askers(sound.length > 0, connected)
    return [
      ...sound.map((node) => async () => {
        try {
          return readSlots(await node.command('cluster', ['slots']), node.host)
        } catch (error) {
          throw node.explain(error)
        }
      }),
      ...strangers,
    ]
  }
}
