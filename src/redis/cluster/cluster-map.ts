/** The nodes of a cluster, by route, and which of them serves a slot now. */
import type { BackendListener, BackendSettings, RouteView, ServerIdentity } from '../../backend.ts'
import { UnavailableError } from '../../errors.ts'
import { SystemClock } from '../../time/clock.ts'
import { isReply } from '../reply-fault.ts'
import { ClusterNode } from './cluster-node.ts'
import { type ClusterSource, nameOf } from './cluster-source.ts'
import { type AskForMap, MapKeeper } from './map-keeper.ts'
import { Scout } from './scout.ts'
import { type Address, readSlots, type SlotRange } from './slots-reply.ts'
import { SlotTable } from './slot-table.ts'

/** The largest number of connections that are made only to ask for a map. */
const MOST_SCOUTS = 8
/** ms without a request after which a node that serves no slots is left. */
const LINGERS = 5_000
/** ms that a connection to such a node may take. */
const MAY_CONNECT = 1_000
const ignore = (): void => undefined

export interface ClusterMapParts {
  readonly source: ClusterSource
  readonly settings: BackendSettings
  readonly listener: BackendListener
  /** The slots have another node than before. */
  readonly onMoved: (slots: readonly number[], route: number) => void
  /** Another server answers for all slots of the route: it may lack what the last one confirmed. */
  readonly onOtherServer: (route: number) => void
}

export class ClusterMap {
  readonly #parts: ClusterMapParts
  readonly #table = new SlotTable()
  readonly #keeper: MapKeeper
  /** By the address at which we reach a node. */
  readonly #routes = new Map<string, number>()
  /** By route. */
  readonly #nodes: (ClusterNode | undefined)[] = []
  /** What has to be reported about routes once they can be asked. */
  readonly #news = new Map<number, 'recovered' | 'promoted'>()
  /** Where we reach all nodes of the last map, replicas included. */
  #known: readonly Address[] = []
  /** Where the nodes are that the application named, as last looked up. */
  #seeds: readonly Address[] = []
  #lookingUp: Promise<void> | undefined
  readonly #scouts = new Set<Scout>()
  /** How many addresses had their turn to be asked by a scout. */
  #turns = 0
  /** Where we reach the replicas of a route, as the last map said. */
  #replicas = new Map<number, readonly Address[]>()
  #questions = 0
  #connected = false
  #referenced = true
  #closed = false

  constructor(parts: ClusterMapParts) {
    this.#parts = parts
    this.#keeper = new MapKeeper({
      clock: parts.settings.clock ?? new SystemClock(),
      candidates: () => this.#candidates(),
      isTroubled: () => this.#table.hasHoles || this.serving.some(({ sound }) => !sound),
      onMap: (ranges) => this.#onMap(ranges),
      onFault: (error) => parts.listener.onError(error),
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
    for (const part of [...this.#nodes, ...this.#scouts]) part?.unref()
  }

  async close(): Promise<void> {
    this.#closed = true
    this.#keeper.close()
    await Promise.all([...this.#nodes, ...this.#scouts].map(async (part) => part?.close()))
  }

  #node({ host, port }: Address): ClusterNode {
    this.#throwIfClosed()
    const name = nameOf({ host, port })
    const route = this.#routes.get(name) ?? this.#routes.size
    this.#routes.set(name, route)
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
      onUsable: () => this.#onUsable(route),
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
      onChange: (keys) => listener.onChange(keys, route),
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

  #onUsable(route: number): void {
    const news = this.#news.get(route)
    if (news === undefined) return
    this.#news.delete(route)
    const { listener } = this.#parts
    if (news === 'recovered') {
      listener.onRecovered(route)
      return
    }
    // A replica has taken the place of its master. It may lack the last writes, and watches nothing for us.
    this.#parts.onOtherServer(route)
    listener.onSuspect(route)
    if (this.#nodes[route]?.tracking?.active) listener.onChange(undefined, route)
  }

  #onMap(ranges: readonly SlotRange[]): void {
    const { source, onMoved } = this.#parts
    const addresses = ranges.flatMap(({ master, replicas }) => [master, ...replicas])
    this.#known = [...new Map(addresses.map((node) => [nameOf(node), source.reach(node)])).values()]
    this.#replicas = new Map(
      ranges.map(({ master, replicas }) => [
        this.nodeAt(master).route,
        replicas.map((replica) => source.reach(replica)),
      ]),
    )
    const { moved, filled, promoted } = this.#table.apply(ranges, ({ master }) => this.nodeAt(master).route)
    this.#tellConnection()
    for (const [route, slots] of moved) onMoved(slots, route)
    for (const route of filled) this.#news.set(route, 'recovered')
    for (const route of promoted) this.#news.set(route, 'promoted')
    for (const node of this.#nodes) {
      if (node === undefined) continue
      if (!this.serves(node.route)) this.#retire(node)
      else if (node.pair.commands.usable) this.#onUsable(node.route)
    }
  }

  /** Slots may be on their way to a node without any, and one that has lost them may still name keys that left it. So it stays for a while. */
  #retire(node: ClusterNode): void {
    node.dismiss()
    this.#news.delete(node.route)
    if (node.idleFor < (node.pair.commands.usable ? LINGERS : MAY_CONNECT)) return
    this.#nodes[node.route] = undefined
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
    const lookUp = this.#lookUp()
    if (sound.length + this.#known.length === 0) await lookUp
    // A resolver that hangs or fails must not keep us from asking a node that we know.
    else lookUp.catch(ignore)
    const asked = new Set([...sound, ...heirs].map(({ name }) => name))
    const others = new Map<string, Address>()
    for (const address of [...this.#known, ...this.#seeds]) {
      if (!asked.has(nameOf(address))) others.set(nameOf(address), address)
    }
    return [
      ...sound.map((node) => async () => {
        try {
          return readSlots(await node.command('cluster', ['slots']), node.host)
        } catch (error) {
          throw node.explain(error)
        }
      }),
      ...this.#nextOf([...others.values()]).map((address) => () => this.#scout(address)),
    ]
  }

  #lookUp(): Promise<void> {
    this.#lookingUp ??= this.#parts.source
      .seeds()
      .then((seeds) => {
        this.#seeds = seeds
      })
      .finally(() => {
        this.#lookingUp = undefined
      })
    return this.#lookingUp
  }

  /** Each address has its turn: perhaps none of the others exists any more. */
  #nextOf(addresses: readonly Address[]): readonly Address[] {
    if (addresses.length <= MOST_SCOUTS) return addresses
    const start = this.#turns % addresses.length
    this.#turns = start + MOST_SCOUTS
    return [...addresses.slice(start), ...addresses.slice(0, start)].slice(0, MOST_SCOUTS)
  }

  #throwIfClosed(): void {
    if (this.#closed) throw new UnavailableError('The connection to Redis is closed')
  }

  async #scout(address: Address): Promise<readonly SlotRange[]> {
    this.#throwIfClosed()
    const scout = new Scout(this.#parts.source.model(address), this.#parts.settings)
    if (!this.#referenced) scout.unref()
    this.#scouts.add(scout)
    try {
      return readSlots(await scout.ask(), address.host)
    } catch (cause) {
      const { message } = cause as Error
      throw new UnavailableError(`node ${nameOf(address)}: ${message}`, undefined, isReply(cause) ? {} : { cause })
    } finally {
      this.#scouts.delete(scout)
    }
  }
}
